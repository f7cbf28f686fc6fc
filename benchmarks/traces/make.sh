# The same files by make, two at once.
folder=$(mktemp -d)
cat >"$folder/Makefile" <<'END'
FLAGS := -O1 -w -Inative -Inative/include -Inative/core -Inative/runtime -Inative/arch/x86_64
FILES := $(wildcard native/core/[a-r]*.c) $(wildcard native/runtime/[a-m]*.c)
OBJECTS := $(patsubst %.c,$(FOLDER)/%.o,$(FILES))
$(FOLDER)/core.a: $(OBJECTS)
	ar rcs $@ $^
$(FOLDER)/%.o: %.c
	@mkdir -p $(@D)
	@echo $@ | sed 's/^/  CC /'
	gcc $(FLAGS) -DEXO_FREESTANDING=1 -MMD -c $< -o $@
END
make -j2 -f "$folder/Makefile" FOLDER="$folder"
rm -r "$folder"
