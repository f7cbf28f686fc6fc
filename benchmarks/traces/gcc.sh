# Files of this project, compiled one after the other.
folder=$(mktemp -d)
for file in native/core/[a-r]*.c native/runtime/[a-m]*.c; do
    gcc -O1 -w -Inative -Inative/include -Inative/core -Inative/runtime -Inative/arch/x86_64 \
        -DEXO_FREESTANDING=1 -c "$file" -o "$folder/object.o"
done
rm -r "$folder"
