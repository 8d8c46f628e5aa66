/* Pages that stand alone: no network, light and dark, Korean and English.
 *
 * A page carries both languages and shows the one picked at its top (by CSS; a browser that cannot shows both).  A few
 * lines of script pick Korean where that is the browser's language and remember what its reader picks; without them a
 * page opens in English and all else is the same.
 * A page remembers its first error and then ignores what is added, so that a writer checks once, at the end. */
#ifndef DK_UI_HTML_H
#define DK_UI_HTML_H

#include "base/buf.h"

struct html {
    struct buf b;
    int rc; /* 0, or the first error, with its sentence in e */
    struct err e;
};

struct two { /* one text in both languages; escaped when written */
    const char *en, *ko;
};

/* Opens the document: head, style sheet, language switch, <main> with the title as <h1>. */
void html_begin(struct html *h, struct two title);
void html_end(struct html *h);
void html_release(struct html *h); /* safe on zero */

/* Markup as it is; the formatted kind at most 1000 bytes at a time. */
void html_add(struct html *h, const char *markup);
void html_addf(struct html *h, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Text for element content and quoted attributes: & < > " ' become entities, control characters U+FFFD. */
void html_text(struct html *h, const char *s);
/* <tag>text</tag>, and the same once in each language, or once where both are the same; tag may carry attributes:
 * "p class=\"soft\"".  What is marked lang="en" with class "quoted" stays in the Korean view: text without Korean. */
void html_in(struct html *h, const char *tag, const char *text);
void html_two(struct html *h, const char *tag, struct two t);

#endif
