#include "ui/html.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--soft:#5b6570;--rule:#dde1e6;--ours:#0b6e4f;"
    "--peer:#9aa7b4;--limit:#c2410c;--panel:#f6f7f9}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#14171a;--ink:#e6e9ec;--soft:#9aa4ae;--rule:#31383f;"
    "--ours:#34c38f;--peer:#5d6a77;--limit:#fb923c;--panel:#1c2126}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,\"Noto Sans KR\","
    "\"Noto Sans CJK KR\",sans-serif;word-break:keep-all;overflow-wrap:anywhere}\n"
    "main{max-width:74rem;margin:0 auto;padding:1.5rem 1.25rem 4rem}\n"
    "h1{font-size:1.7rem;line-height:1.25;margin:.4rem 0 1rem}\n"
    "h2{font-size:1.25rem;margin:2.6rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--rule)}\n"
    "h3{font-size:1rem;margin:0 0 .6rem}\n"
    "p{margin:.4rem 0;max-width:46rem}section>p{margin-top:1rem}section>pre{margin-top:.2rem}\n"
    ".soft,figcaption{color:var(--soft)}\n"
    ".switch{display:flex;gap:1rem;justify-content:flex-end;font-size:.9rem}.switch label{cursor:pointer}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr));gap:1.5rem}\n"
    "figure{margin:0;padding:1rem;background:var(--panel);border-radius:.5rem;min-width:0;max-width:46rem}\n"
    "figcaption{font-size:.9rem;margin-top:.4rem}figcaption p{margin:.1rem 0}strong{color:var(--ink)}\n"
    "svg{display:block;width:100%;height:auto;overflow:visible}\n"
    "svg text{fill:var(--ink);font-size:13px}svg .tick{fill:var(--soft);font-size:11.5px}svg .ours{font-weight:600}\n"
    "svg .bar{fill:var(--peer)}svg .bar.ours{fill:var(--ours)}\n"
    "svg .grid{stroke:var(--rule)}svg .base{stroke:var(--soft)}svg .limit{stroke:var(--limit);stroke-width:2.5}\n"
    "svg .curve{fill:none;stroke:var(--ours);stroke-width:1.8}\n"
    "td.left{text-align:left;white-space:normal;overflow-wrap:anywhere}\n"
    "td.good{color:var(--ours);font-weight:600}td.bad{color:var(--limit);font-weight:700}td.open{color:var(--soft)}\n"
    "svg .whisker{fill:none;stroke:var(--ink);stroke-width:1.2}\n"
    ".scroll{overflow-x:auto;margin-top:.6rem}\n"
    "table{border-collapse:collapse;font-size:.82rem;width:100%;font-variant-numeric:tabular-nums;"
    "overflow-wrap:normal}\n"
    "th,td{padding:.25rem .4rem;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}\n"
    "th:first-child,td:first-child{text-align:left;white-space:normal;min-width:9rem}\n"
    "thead th{color:var(--soft);font-weight:500;vertical-align:bottom;white-space:normal}tbody th{font-weight:400}\n"
    "tr.ours th,tr.ours td{font-weight:600}\n"
    ".key{display:inline-block;width:.9em;height:.9em;vertical-align:-.1em;margin-right:.35em}\n"
    ".k-ours{background:var(--ours)}.k-peer{background:var(--peer)}.k-limit{width:3px;background:var(--limit)}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;font-size:.9rem}\n"
    "pre{font-size:.82rem;background:var(--panel);padding:.6rem .8rem;border-radius:.4rem;white-space:pre-wrap}\n"
    "body:has(#ko:checked) [lang=en]:not(.quoted){display:none}body:not(:has(#ko:checked)) [lang=ko]{display:none}\n"
    /* On a phone a column of sentences is too narrow to read: they stand below the rest of their row. */
    "@media(max-width:40rem){tr:has(>td.left){display:grid;grid-template-columns:1fr auto;"
    "border-bottom:1px solid var(--rule)}tr:has(>td.left)>*{border:0}td.left{grid-column:1/-1}}\n"
    "@media print{.switch{display:none}figure{break-inside:avoid}}\n";

void html_add(struct html *h, const char *markup)
{
    if (h->rc == 0)
        h->rc = buf_adds(&h->b, markup, &h->e);
}

void html_addf(struct html *h, const char *fmt, ...)
{
    char text[1001];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert(n >= 0 && n < (int)sizeof text);
    html_add(h, text);
}

static const char *entity(char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return (unsigned char)c < 32 || c == 127 ? "\xef\xbf\xbd" : NULL;
    }
}

void html_text(struct html *h, const char *s)
{
    for (; *s && h->rc == 0; s++) {
        const char *as = entity(*s);
        h->rc = as ? buf_adds(&h->b, as, &h->e) : buf_addc(&h->b, *s, &h->e);
    }
}

static void element(struct html *h, const char *tag, const char *lang, const char *text)
{
    int name = (int)strcspn(tag, " ");
    html_addf(h, "<%s%s>", tag, lang);
    html_text(h, text);
    html_addf(h, "</%.*s>", name, tag);
}

void html_in(struct html *h, const char *tag, const char *text)
{
    element(h, tag, "", text);
}

void html_two(struct html *h, const char *tag, struct two t)
{
    if (strcmp(t.en, t.ko) == 0) {
        element(h, tag, "", t.en);
        return;
    }
    element(h, tag, " lang=\"en\"", t.en);
    element(h, tag, " lang=\"ko\"", t.ko);
}

/* Until somebody picks one, the browser's own language; what was picked counts for the pages opened later. */
static const char language[] =
    "<script>\n(function(){var ko=document.getElementById('ko'),en=document.getElementById('en'),key='dokja-language',"
    "was;\nfunction show(){document.documentElement.lang=ko.checked?'ko':'en'}\n"
    "function pick(){show();try{localStorage.setItem(key,ko.checked?'ko':'en')}catch(e){}}\n"
    "try{was=localStorage.getItem(key)}catch(e){}\n"
    "(was?was==='ko':/^ko\\b/i.test(navigator.language))?ko.checked=true:en.checked=true;\n"
    "en.onchange=ko.onchange=pick;addEventListener('pageshow',show);show()})()\n</script>\n";

void html_begin(struct html *h, struct two title)
{
    html_add(h, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                "content=\"width=device-width,initial-scale=1\">\n<title>");
    html_text(h, title.en);
    html_add(h, " · ");
    html_text(h, title.ko);
    html_add(h, "</title>\n<style>\n");
    html_add(h, style);
    html_add(h, "</style>\n</head>\n<body>\n<main>\n<div class=\"switch\" role=\"radiogroup\" aria-label=\"Language · "
                "언어\"><label><input type=\"radio\" name=\"language\" id=\"en\" checked> English</label><label><input "
                "type=\"radio\" name=\"language\" id=\"ko\"> 한국어</label></div>\n");
    html_add(h, language);
    html_two(h, "h1", title);
    html_add(h, "\n");
}

void html_end(struct html *h)
{
    html_add(h, "</main>\n</body>\n</html>\n");
}

void html_release(struct html *h)
{
    buf_release(&h->b);
    *h = (struct html){0};
}
