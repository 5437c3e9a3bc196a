// SPDX-License-Identifier: Apache-2.0
// limits.h - numbers that both ends of the agent protocol hold to
#ifndef MAYFLY_PROTO_LIMITS_H
#define MAYFLY_PROTO_LIMITS_H

#define PROTO_VERSION 2u

/* One frame: a 32-bit little-endian length, then so many bytes of protobuf. */
#define PROTO_FRAME_MAX (64u << 10)
/* Payload of one Data or ExecWords frame; leaves room for the fields around it. */
#define PROTO_DATA_MAX (32u << 10)
/* Bytes of one stream that may be on their way without a Credit. */
#define PROTO_WINDOW (256u << 10)
/* The same for a session with keep: what is not credited is kept for whoever attaches. */
#define PROTO_KEEP_WINDOW (64u << 10)
/* Sessions of one machine at a time. */
#define PROTO_SESSIONS_MAX 128
#define PROTO_RLIMITS_MAX 16
/* All arguments, and all of the environment; Linux takes no single string over 128 KiB. */
#define PROTO_WORDS_MAX (2u << 20)
#define PROTO_WORD_MAX (128u << 10)
#define PROTO_WORDS_COUNT_MAX 131072u
#define PROTO_GROUPS_MAX 256

/* A tree that is copied: levels of directories, entries of all kinds, notes that are sent. */
#define PROTO_TREE_DEPTH_MAX 256
#define PROTO_TREE_ENTRIES_MAX 1000000u
#define PROTO_TREE_NOTES_MAX 64

/* Guest port of the agent's listener, and host port of the control connection. */
#define PROTO_AGENT_PORT 1024
#define PROTO_CONTROL_PORT 1024
/* Guest users other than root can bind no port below 1024. */
#define PROTO_CONTROL_SOURCE_PORT 1023
#define PROTO_GUEST_CID 3

#endif
