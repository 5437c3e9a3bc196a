// SPDX-License-Identifier: Apache-2.0
// lint-model.h - what the analyzers should know of functions in other files; tests/lint includes
// it in front of every source, no build does
#include "base/err.h"

/* Errors are negative: without this, a failure may look like a success to the caller's caller. */
#define err_set(...) ((err_set)(__VA_ARGS__), -22)
#define err_errno(...) ((err_errno)(__VA_ARGS__), -22)
