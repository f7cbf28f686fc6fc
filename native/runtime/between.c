/* A signal that falls between the two instructions that EXO_PATCH_AFTER has moved: their places in the
 * guest's code are inside the jump, so no handler may be told of them. The second one is done first: a
 * branch or a return here, anything else in the stub, where a copy of it ends in a hlt.
 *
 * Rules: called by the host handler for code of the guest's.
 */
#include "stub.h"

#define CARRY 0x001UL
#define PARITY 0x004UL
#define ZERO 0x040UL
#define SIGN 0x080UL
#define OVERFLOW 0x800UL

/* The condition in the low four bits of a jcc's opcode. */
static bool holds(uint8_t condition, uint64_t flags)
{
    bool less = !(flags & SIGN) != !(flags & OVERFLOW);
    bool holds[8] = {flags & OVERFLOW, flags & CARRY,  flags & ZERO, flags & (CARRY | ZERO),
                     flags & SIGN,     flags & PARITY, less,         less || (flags & ZERO)};
    return holds[(condition & 15) >> 1] != (condition & 1);
}

/* A near branch at code, as emit_moved() has made it; 0 if it is none. */
static uint64_t after_branch(const uint8_t *code, uint64_t flags)
{
    unsigned size = code[0] == 0xe9 ? 5 : code[0] == 0x0f && (code[1] & 0xf0) == 0x80 ? 6 : 0;
    int32_t relative;
    if (size == 0)
        return 0;
    memcpy(&relative, code + size - 4, 4);
    bool taken = size == 5 || holds(code[1], flags);
    return (uint64_t)code + size + (taken ? (uint64_t)(int64_t)relative : 0);
}

bool exo_stub_get_on(struct k_sigcontext *regs)
{
    struct exo_site site;
    if (!exo_stub_site(regs->rip, &site) || !exo_stub_is_between(&site, regs->rip - site.stub))
        return true;
    const uint8_t *code = (const uint8_t *)regs->rip;
    uint64_t next = after_branch(code, regs->eflags);
    if (next != 0)
        regs->rip = next;
    else if (code[0] == 0xc3 && guest_get(&next, regs->rsp) == 0) {
        regs->rip = next;
        regs->rsp += 8;
    } else if (code[0] != 0xc3 && !(regs->eflags & EXO_TRAP_FLAG)) {
        regs->rip = site.stub + exo_stub_again(&site);
        return false;
    }
    return true;
}

void exo_stub_got_on(struct k_sigcontext *regs)
{
    struct exo_site site;
    if (!exo_stub_site(regs->rip, &site))
        return;
    bool done = regs->rip - site.stub == exo_stub_again(&site) + site.moved - site.first;
    regs->rip = done ? site.address + 2 + site.moved : site.stub + site.tail + site.first;
}
