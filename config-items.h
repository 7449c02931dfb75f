/* SPDX-License-Identifier: MIT */
/* What options that are lists share: a list that grows, and words between commas. */
#ifndef LKVM_CONFIG_ITEMS_H
#define LKVM_CONFIG_ITEMS_H

#include <stddef.h>

#include "lkvm/rate.h"
#include "lkvm/types.h"

/* One more zeroed element after the @count that *array holds. The command line bounds the count. */
void *config_grow(void *array, u32 *count, size_t size);
/*
 * Cut the next item off @list, which ends at a comma; a doubled comma stands for one. NULL at the
 * end of the list. The item lies in the list's own bytes.
 */
char *config_next_item(char **list);
/* @text with its commas doubled, as config_next_item reads it; the caller frees it. */
char *config_one_item(const char *text);
/* ",KEY=VALUE", commas in @value doubled; nothing where it is NULL. */
void config_add_word(char **text, const char *key, const char *value);
void config_add_mac(char **text, const char *key, const u8 mac[6]);
/*
 * Say that @item is none of @known (as option_hooks.items), with the nearest of them. -EINVAL.
 * @shown: the option as the user wrote it.
 */
int config_unknown_item(const char *shown, const char *item, const char *const *known);

/*
 * config-rate.c: @prefix (as "rx-", or "") and rate=SIZE[:BURST] or ops=N[:BURST] into @rate. 1: it
 * was one of them; 0: it is another word; -EINVAL: printed.
 */
int config_rate_item(const char *shown, struct rate_config *rate, const char *prefix,
		     const char *item) __must_check;
/* The words with a comma before each, as they are read, or nothing: as xappendf. */
void config_add_rate(char **text, const struct rate_config *rate, const char *prefix);

/* Six pairs of hexadecimal digits with colons between, of one station and not a group. 0 or
 * -EINVAL.
 */
int config_parse_mac(const char *s, u8 mac[6]) __must_check;

struct net_config;
struct net_user_config;
/*
 * config-net-user.c: the words of --network mode=user. An item: 0, 1 (it is none of them) or
 * -EINVAL (printed). The check, after the last item of a card, also of other modes: 0 or -EINVAL.
 * The text begins with a comma, or is empty: as xappendf.
 */
int config_net_user_item(const char *shown, struct net_user_config *user, const char *key,
			 const char *value) __must_check;
int config_net_user_check(const char *shown, struct net_config *net) __must_check;
void config_add_net_user(char **text, const struct net_user_config *user);
void config_net_user_destroy(struct net_user_config *user);

struct vfio_config;
/* config-vfio-tsm.c: tsm=@value of --vfio. Prints; 0 or -EINVAL. And ",tsm=..." as it is read. */
int config_vfio_tsm(const char *shown, struct vfio_config *vc, const char *value) __must_check;
void config_add_vfio_tsm(char **text, const struct vfio_config *vc);

#endif
