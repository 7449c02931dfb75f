/* SPDX-License-Identifier: MIT */
/*
 * RSS on a tap (TUNSETSTEERINGEBPF): the kernel asks a program for the queue of each packet. The
 * program is put together here, instruction by instruction (Linux
 * Documentation/bpf/standardization, RFC 9669); it does what flow.c and toeplitz.c do, without
 * IPv6's home addresses. What it looks up is in a map of one element that we write through a
 * mapping: no system call for a change.
 */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lkvm/flow.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "tun.h"

#ifndef BPF_F_MMAPABLE
#define BPF_F_MMAPABLE (1U << 10) /* Linux 5.5 */
#endif

#define MAX_INSNS  1024
#define EXTENSIONS 8 /* as many as flow.c follows */

/* The map's element. */
struct rss_map {
	u32 types, mask, unclassified, unused;
	u32 table[NET_RSS_TABLE];
	struct toeplitz toeplitz;
};

struct rss_bpf {
	int map_fd, prog_fd;
	struct rss_map *map;
	size_t map_len;
};

/* Putting the program together */

enum { R0, R1, R2, R3, R4, R5, CTX, HASH, MAP, AT, FP };

/* Labels: places that are jumped to before it is known where they are. */
enum {
	L_UNTAGGED,
	L_IP4,
	L_IP6,
	L_EXTENDED,
	L_CUT,
	L_HASH,
	L_PICK,
	L_NONE,
	L_TAG,			       /* and the next: of each VLAN tag */
	L_PORTS = L_TAG + 2,	       /* four of each version of IP */
	L_EXTENSION = L_PORTS + 2 * 4, /* four of each extension header */
	NR_LABELS = L_EXTENSION + 4 * EXTENSIONS
};

/* Where things are on the stack, below FP. */
#define S_INPUT	   -40 /* of the hash; all that is not written is zero, and adds nothing to it */
#define S_HEADER   -64 /* 20 bytes */
#define S_EXT	   -72 /* 8 */
#define S_TYPE	   -76 /* of Ethernet */
#define S_KEY	   -80 /* of the map */
#define S_BYTE	   -84
#define S_FRAGMENT -88

struct program {
	struct bpf_insn insn[MAX_INSNS];
	u16 nr;
	u16 label[NR_LABELS]; /* the instruction there */
	u8 jump[MAX_INSNS];   /* label + 1 that this one jumps to */
};

static void emit(struct program *p, u8 code, u8 dst, u8 src, s16 off, s32 imm)
{
	p->insn[p->nr++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm
	};
}

static void put_label(struct program *p, u8 label)
{
	p->label[label] = p->nr;
}

static void jump_if(struct program *p, u8 op, u8 dst, s32 imm, u8 label)
{
	p->jump[p->nr] = (u8)(label + 1);
	emit(p, BPF_JMP | op | BPF_K, dst, 0, 0, imm);
}

static void jump(struct program *p, u8 label)
{
	jump_if(p, BPF_JA, 0, 0, label);
}

static void set_jumps(struct program *p)
{
	for (u16 i = 0; i < p->nr; i++)
		if (p->jump[i])
			p->insn[i].off = (s16)(p->label[p->jump[i] - 1] - i - 1);
}

static void alu(struct program *p, u8 op, u8 dst, s32 imm)
{
	emit(p, BPF_ALU64 | op | BPF_K, dst, 0, 0, imm);
}

static void alu_reg(struct program *p, u8 op, u8 dst, u8 src)
{
	emit(p, BPF_ALU64 | op | BPF_X, dst, src, 0, 0);
}

static void load(struct program *p, u8 size, u8 dst, u8 src, s16 off)
{
	emit(p, BPF_LDX | size | BPF_MEM, dst, src, off, 0);
}

/* Bytes of the packet, from AT + @k on; or go to @fail. */
static void load_packet(struct program *p, s32 k, s16 to, s32 len, u8 fail)
{
	alu_reg(p, BPF_MOV, R1, CTX);
	alu_reg(p, BPF_MOV, R2, AT);
	alu(p, BPF_ADD, R2, k);
	alu_reg(p, BPF_MOV, R3, FP);
	alu(p, BPF_ADD, R3, to);
	alu(p, BPF_MOV, R4, len);
	emit(p, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_load_bytes);
	jump_if(p, BPF_JNE, R0, 0, fail);
}

static void begin(struct program *p, int map_fd)
{
	alu_reg(p, BPF_MOV, CTX, R1);
	for (s16 at = S_INPUT; at < 0; at += 8)
		emit(p, BPF_ST | BPF_DW | BPF_MEM, FP, 0, at, 0);
	emit(p, BPF_ST | BPF_W | BPF_MEM, FP, 0, S_KEY, 0);
	emit(p, BPF_ST | BPF_W | BPF_MEM, FP, 0, S_FRAGMENT, 0);
	/* NOLINTNEXTLINE(misc-redundant-expression): two of the names stand for 0 */
	emit(p, BPF_LD | BPF_DW | BPF_IMM, R1, BPF_PSEUDO_MAP_FD, 0, map_fd);
	emit(p, 0, 0, 0, 0, 0);
	alu_reg(p, BPF_MOV, R2, FP);
	alu(p, BPF_ADD, R2, S_KEY);
	emit(p, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	emit(p, BPF_JMP | BPF_JNE | BPF_K, R0, 0, 1, 0);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	alu_reg(p, BPF_MOV, MAP, R0);
}

static void ethernet(struct program *p)
{
	alu(p, BPF_MOV, AT, ETH_HLEN);
	load_packet(p, -2, S_TYPE, 2, L_NONE);
	for (u8 tag = 0; tag < 2; tag++) {
		load(p, BPF_H, R0, FP, S_TYPE);
		jump_if(p, BPF_JEQ, R0, htons(ETH_P_8021Q), (u8)(L_TAG + tag));
		jump_if(p, BPF_JNE, R0, htons(ETH_P_8021AD), L_UNTAGGED);
		put_label(p, (u8)(L_TAG + tag));
		load_packet(p, 2, S_TYPE, 2, L_NONE);
		alu(p, BPF_ADD, AT, 4);
	}
	put_label(p, L_UNTAGGED);
	load(p, BPF_H, R0, FP, S_TYPE);
	jump_if(p, BPF_JEQ, R0, htons(ETH_P_IP), L_IP4);
	jump_if(p, BPF_JEQ, R0, htons(ETH_P_IPV6), L_IP6);
	jump(p, L_NONE);
}

static void check_version(struct program *p, s32 version)
{
	load(p, BPF_B, R0, FP, S_HEADER);
	alu_reg(p, BPF_MOV, R1, R0);
	alu(p, BPF_RSH, R1, 4);
	jump_if(p, BPF_JNE, R1, version, L_NONE);
}

/* The packet is of protocol HASH at AT; with ports, if those are asked for and not in R0 != 0. */
static void choose(struct program *p, bool ip6)
{
	const u8 tcp = (u8)(L_PORTS + 4 * ip6), ports = (u8)(tcp + 1), addresses = (u8)(tcp + 2);
	const u8 chosen = (u8)(tcp + 3);
	const s16 types = offsetof(struct rss_map, types);

	jump_if(p, BPF_JNE, R0, 0, addresses);
	load(p, BPF_W, R1, MAP, types);
	jump_if(p, BPF_JEQ, HASH, IPPROTO_TCP, tcp);
	jump_if(p, BPF_JNE, HASH, IPPROTO_UDP, addresses);
	alu(p, BPF_AND, R1, ip6 ? VIRTIO_NET_RSS_HASH_TYPE_UDPv6 : VIRTIO_NET_RSS_HASH_TYPE_UDPv4);
	jump(p, ports);
	put_label(p, tcp);
	alu(p, BPF_AND, R1, ip6 ? VIRTIO_NET_RSS_HASH_TYPE_TCPv6 : VIRTIO_NET_RSS_HASH_TYPE_TCPv4);
	put_label(p, ports);
	jump_if(p, BPF_JEQ, R1, 0, addresses);
	/* Where there are none the kernel leaves zeroes. */
	load_packet(p, 0, (s16)(S_INPUT + (ip6 ? 32 : 8)), 4, addresses);
	jump(p, chosen);
	put_label(p, addresses);
	load(p, BPF_W, R1, MAP, types);
	alu(p, BPF_AND, R1, ip6 ? VIRTIO_NET_RSS_HASH_TYPE_IPv6 : VIRTIO_NET_RSS_HASH_TYPE_IPv4);
	jump_if(p, BPF_JEQ, R1, 0, L_NONE);
	put_label(p, chosen);
	alu(p, BPF_MOV, R4, ip6 ? TOEPLITZ_MAX : 12);
	jump(p, L_HASH);
}

static void ip4(struct program *p)
{
	put_label(p, L_IP4);
	load_packet(p, 0, S_HEADER, 20, L_NONE);
	check_version(p, 4);
	alu(p, BPF_AND, R0, 15);
	jump_if(p, BPF_JLT, R0, 5, L_NONE);
	alu(p, BPF_LSH, R0, 2);
	alu_reg(p, BPF_ADD, AT, R0);
	for (s16 i = 0; i < 8; i += 4) {
		load(p, BPF_W, R1, FP, (s16)(S_HEADER + 12 + i));
		emit(p, BPF_STX | BPF_W | BPF_MEM, FP, R1, (s16)(S_INPUT + i), 0);
	}
	load(p, BPF_B, HASH, FP, S_HEADER + 9);
	load(p, BPF_H, R0, FP, S_HEADER + 6);
	alu(p, BPF_AND, R0, htons(0x3fff)); /* as in flow.c */
	choose(p, false);
}

/* One extension header, or go to L_EXTENDED. */
static void extension(struct program *p, u8 i)
{
	const u8 fragment = (u8)(L_EXTENSION + 4 * i), other = (u8)(fragment + 1);
	const u8 whole = (u8)(fragment + 2), next = (u8)(fragment + 3);

	jump_if(p, BPF_JEQ, HASH, IPPROTO_FRAGMENT, fragment);
	jump_if(p, BPF_JEQ, HASH, IPPROTO_HOPOPTS, other);
	jump_if(p, BPF_JEQ, HASH, IPPROTO_ROUTING, other);
	jump_if(p, BPF_JNE, HASH, IPPROTO_DSTOPTS, L_EXTENDED);
	put_label(p, other);
	load_packet(p, 0, S_EXT, 8, L_CUT);
	load(p, BPF_B, HASH, FP, S_EXT);
	load(p, BPF_B, R0, FP, S_EXT + 1);
	alu(p, BPF_ADD, R0, 1);
	alu(p, BPF_LSH, R0, 3);
	alu_reg(p, BPF_ADD, AT, R0);
	load_packet(p, -1, S_BYTE, 1, L_CUT);
	jump(p, next);
	put_label(p, fragment);
	load_packet(p, 0, S_EXT, 8, L_CUT);
	load(p, BPF_H, R0, FP, S_EXT + 2);
	alu(p, BPF_AND, R0, htons(0xfff9)); /* as in flow.c */
	jump_if(p, BPF_JEQ, R0, 0, whole);
	emit(p, BPF_ST | BPF_W | BPF_MEM, FP, 0, S_FRAGMENT, 1);
	put_label(p, whole);
	load(p, BPF_B, HASH, FP, S_EXT);
	alu(p, BPF_ADD, AT, 8);
	put_label(p, next);
}

static void ip6(struct program *p)
{
	put_label(p, L_IP6);
	load_packet(p, 0, S_HEADER, 8, L_NONE);
	check_version(p, 6);
	load_packet(p, 8, S_INPUT, 32, L_NONE);
	load(p, BPF_B, HASH, FP, S_HEADER + 6);
	alu(p, BPF_ADD, AT, 40);
	for (u8 i = 0; i < EXTENSIONS; i++)
		extension(p, i);
	jump(p, L_EXTENDED);
	put_label(p, L_CUT);
	alu(p, BPF_MOV, HASH, IPPROTO_NONE);
	put_label(p, L_EXTENDED);
	load(p, BPF_W, R0, FP, S_FRAGMENT);
	choose(p, true);
}

/* Half a byte of the input, in R0, is the @n-th. */
static void add_half(struct program *p, u8 reg, int n)
{
	const size_t at = offsetof(struct rss_map, toeplitz) + (size_t)n * 16 * sizeof(u32);

	alu(p, BPF_LSH, reg, 2);
	alu_reg(p, BPF_ADD, reg, MAP);
	load(p, BPF_W, reg, reg, (s16)at);
	alu_reg(p, BPF_XOR, HASH, reg);
}

/* Over R4 bytes of the input: 12 or all. */
static void hash(struct program *p)
{
	put_label(p, L_HASH);
	alu(p, BPF_MOV, HASH, 0);
	for (int i = 0; i < TOEPLITZ_MAX; i++) {
		if (i == 12)
			jump_if(p, BPF_JEQ, R4, 12, L_PICK);
		load(p, BPF_B, R0, FP, (s16)(S_INPUT + i));
		alu_reg(p, BPF_MOV, R1, R0);
		alu(p, BPF_RSH, R0, 4);
		add_half(p, R0, 2 * i);
		alu(p, BPF_AND, R1, 15);
		add_half(p, R1, 2 * i + 1);
	}
	put_label(p, L_PICK);
	load(p, BPF_W, R1, MAP, offsetof(struct rss_map, mask));
	alu_reg(p, BPF_AND, HASH, R1);
	alu(p, BPF_AND, HASH, NET_RSS_TABLE - 1);
	alu(p, BPF_LSH, HASH, 2);
	alu_reg(p, BPF_ADD, HASH, MAP);
	load(p, BPF_W, R0, HASH, offsetof(struct rss_map, table));
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	put_label(p, L_NONE);
	load(p, BPF_W, R0, MAP, offsetof(struct rss_map, unclassified));
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* The host's side */

static int bpf(int cmd, union bpf_attr *attr)
{
	long ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : (int)ret;
}

static int make_map(struct rss_bpf *b)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = sizeof(u32),
		.value_size = sizeof(struct rss_map),
		.max_entries = 1,
		.map_flags = BPF_F_MMAPABLE,
	};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	b->map_fd = bpf(BPF_MAP_CREATE, &attr);
	if (b->map_fd < 0)
		return b->map_fd;
	b->map_len = ALIGN_UP(sizeof(struct rss_map), page);
	b->map = mmap(NULL, b->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, b->map_fd, 0);
	if (b->map != MAP_FAILED)
		return 0;
	b->map = NULL;
	return -errno;
}

static int make_program(struct rss_bpf *b)
{
	struct program *p = xcalloc(1, sizeof(*p));
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)p->insn,
		/* It uses no function that is for programs under the GPL alone. */
		.license = (uintptr_t) "MIT",
	};

	begin(p, b->map_fd);
	ethernet(p);
	ip4(p);
	ip6(p);
	hash(p);
	set_jumps(p);
	attr.insn_cnt = p->nr;
	b->prog_fd = bpf(BPF_PROG_LOAD, &attr);
	free(p);
	return MIN(b->prog_fd, 0);
}

struct rss_bpf *rss_bpf_open(void)
{
	struct rss_bpf *b = xcalloc(1, sizeof(*b));
	int ret;

	b->prog_fd = -1;
	ret = make_map(b);
	if (!ret)
		ret = make_program(b);
	if (!ret)
		return b;
	debug("net: no RSS: the host takes no BPF program: %s%s", strerror(-ret),
	      ret == -EPERM ? "; it needs CAP_BPF" : "");
	rss_bpf_close(b);
	return NULL;
}

void rss_bpf_close(struct rss_bpf *b)
{
	if (!b)
		return;
	if (b->map)
		munmap(b->map, b->map_len);
	if (b->prog_fd >= 0)
		close(b->prog_fd);
	if (b->map_fd >= 0)
		close(b->map_fd);
	free(b);
}

u32 rss_bpf_types(void)
{
	return VIRTIO_NET_RSS_HASH_TYPE_IPv4 | VIRTIO_NET_RSS_HASH_TYPE_TCPv4 |
	       VIRTIO_NET_RSS_HASH_TYPE_UDPv4 | VIRTIO_NET_RSS_HASH_TYPE_IPv6 |
	       VIRTIO_NET_RSS_HASH_TYPE_TCPv6 | VIRTIO_NET_RSS_HASH_TYPE_UDPv6;
}

int rss_bpf_program(const struct rss_bpf *b)
{
	return b->prog_fd;
}

void rss_bpf_set(struct rss_bpf *b, const struct net_rss *rss)
{
	b->map->types = rss->types;
	b->map->mask = rss->mask;
	b->map->unclassified = rss->unclassified;
	for (u32 i = 0; i < NET_RSS_TABLE; i++)
		b->map->table[i] = rss->table[i];
	toeplitz_prepare(&b->map->toeplitz, rss->key);
}
