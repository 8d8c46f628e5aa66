/* Sentences that another part of the program makes in English, said in Korean with the figures they hold. */
#ifndef DK_UI_PHRASE_H
#define DK_UI_PHRASE_H

#include <stdbool.h>
#include <stddef.h>

#include "ui/html.h"

/* The Korean of the first phrase that `text` is: "*" in .en stands for any words, the n-th of them, from 1 to 9, goes
 * where .ko says "$n". False, and "" in `ko`, where none fits or there is no room: the English is then all there is. */
bool phrase_ko(char *ko, size_t size, const struct two *table, size_t n, const char *text);

#endif
