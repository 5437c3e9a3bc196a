# SPDX-License-Identifier: Apache-2.0
# Guests that write garbage to every port, register, ring and request: fixed programs, any ending
# shellcheck shell=bash disable=SC1091
. "$(dirname "$0")/../lib/common.sh"
[ "$MAYFLY_ENGINE" = kvm ] || skip_all "only the kvm engine has devices of ours behind registers of ours"
. "$TEST_DIR/guest-kernel/garbage.sh"
garbage_tests 1 50
done_testing
