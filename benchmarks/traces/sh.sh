# Pipelines over the texts in /usr/share/doc.
cd /usr/share/doc || exit 1
for letter in a b c d e f g l p x; do
    [ "$(ls | grep "^$letter" | wc -l)" -gt 0 ] || continue
    for package in $(ls | grep "^$letter" | head -8); do
        test -f "$package/copyright" || continue
        cat "$package/copyright" | tr -cs A-Za-z '\n' | sort | uniq -c | sort -rn | head -3
        sed -e 's/a/b/g' "$package/copyright" | awk '{n += NF} END {print n}'
    done
done
find /usr/share/doc -name '*.gz' | head -200 | xargs zcat | gzip -c | wc -c
