/* Names in a folder of token streams. */
#ifndef DK_DATA_TOKENS_FILE_H
#define DK_DATA_TOKENS_FILE_H

#define TOKENS_MANIFEST "tokens.json"

static const char *const tokens_split_name[2] = {"train", "heldout"};
static const char *const tokens_file_name[2] = {"train.tokens", "heldout.tokens"};

#endif
