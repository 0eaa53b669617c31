"""What customers read, with one file for each language: headings, sentences, labels, reasons.

Belongs here: text. A file is named by its language tag (BCP 47) in lower case, and has the same names as `en.py`. To
add a language, add its file, and its tag to the values of `DefaultLanguage` in `template.yaml`. Nothing else knows
which languages there are, and a page loads only its own.

A `$name` is filled in by `pages`, which makes it markup, too: no text here is HTML.

Does not belong here: which page somebody gets (`replies`), and in which language (`language`).
"""
