/* CPUID without the hypervisor: in a virtual machine each cpuid instruction leaves it, 9,500 cycles
 * where this was measured, and a C library's start executes some forty of them.
 *
 * A copy of code answers those that are `mov $leaf,%eax; cpuid` with the leaf's own answer, if that
 * is the same on every CPU, at any time, whatever ecx says: the extended leaves 80000000 and
 * 80000002 to 80000008 (AMD64 manual, volume 3, appendix E; Intel SDM, volume 2, CPUID). Not leaves
 * 0 and 1, which programs also use to serialize, and not those with subleaves or APIC numbers.
 */
#include "stub.h"

#define SITE_SIZE 7 /* both instructions */
#define EXTENDED 0x80000000U
#define HYBRID (1U << 15) /* of leaf 7, edx: the CPUs differ */

static void ask(uint32_t leaf, uint32_t answer[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(answer[0]), "=b"(answer[1]), "=c"(answer[2]), "=d"(answer[3])
                     : "0"(leaf), "2"(0));
}

static bool is_constant(uint32_t leaf)
{
    return leaf == EXTENDED || leaf - (EXTENDED + 2) <= 6;
}

static uint32_t leaf_of(const uint8_t *mov)
{
    uint32_t leaf;
    memcpy(&leaf, mov + 1, sizeof(leaf));
    return leaf;
}

bool exo_cpuid_usable(void)
{
    uint32_t answer[4];
    ask(0, answer);
    if (answer[0] < 7)
        return true;
    ask(7, answer);
    return !(answer[3] & HYBRID);
}

uint64_t exo_cpuid_next(const uint8_t *code, uint64_t from, uint64_t size)
{
    for (uint64_t at = from; at + 2 <= size; at++)
        if (code[at] == 0x0f && code[at + 1] == 0xa2 && at >= SITE_SIZE - 1 &&
            code[at - 5] == 0xb8 && !exo_could_prefix(code[at - 6]) &&
            is_constant(leaf_of(code + at - 5)))
            return at;
    return ~0UL;
}

/* The mov first, so that between it and the rest everything is as it was before the cpuid. */
unsigned exo_cpuid_emit(uint8_t *stub, const uint8_t *mov)
{
    static const uint8_t loads[] = {0xbb, 0xb9, 0xba, 0xb8}; /* mov $imm,%ebx, ecx, edx, eax */
    static const uint8_t parts[] = {1, 2, 3, 0};
    uint32_t answer[4];
    unsigned size = 5;
    ask(leaf_of(mov), answer);
    memcpy(stub, mov, size);
    for (int i = 0; i < 4; i++, size += 5) {
        stub[size] = loads[i];
        memcpy(stub + size + 1, &answer[parts[i]], 4);
    }
    return size;
}
