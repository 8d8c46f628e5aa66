"""The text of a page in one of its views, a line for each element that holds some: page_view.py PAGE en|ko.

What the other language hides is left out, as the style sheet does; the language switch, which has both, is too."""
import html.parser
import sys

VOID = {"meta", "input", "br", "line", "rect", "path"}


class View(html.parser.HTMLParser):
    def __init__(self, lang):
        super().__init__()
        self.lang, self.open, self.lines = lang, [], []

    def handle_starttag(self, tag, attrs):
        if tag in VOID:
            return
        a = dict(attrs)
        other = tag != "html" and a.get("lang", self.lang) != self.lang and "quoted" not in a.get("class", "").split()
        self.open.append(other or tag in ("title", "desc", "style", "script") or a.get("class") == "switch")

    def handle_endtag(self, tag):
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data):
        if data.strip() and not any(self.open):
            self.lines.append(data.strip())


view = View(sys.argv[2])
view.feed(open(sys.argv[1], encoding="utf-8").read())
view.close()
print("\n".join(view.lines))
