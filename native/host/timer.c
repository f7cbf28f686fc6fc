/* Deadlines in a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): its nodes are the
 * waiters' own, so nothing is allocated; whoever is woken early takes its node out.
 */
#include <stddef.h>

#include "fibers.h"

/* Both without siblings. */
static struct exo_timer *meld(struct exo_timer *a, struct exo_timer *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    struct exo_timer *first = b->deadline < a->deadline ? b : a, *other = first == a ? b : a;
    other->before = first;
    other->next = first->child;
    if (other->next != NULL)
        other->next->before = other;
    first->child = other;
    return first;
}

static struct exo_timer *cut(struct exo_timer *timer)
{
    timer->before = timer->next = NULL;
    return timer;
}

/* A heap of a row of siblings: pairs from the left, then all of these from the right. */
static struct exo_timer *meld_row(struct exo_timer *row)
{
    struct exo_timer *pairs = NULL, *heap = NULL;
    while (row != NULL) {
        struct exo_timer *a = row, *b = a->next;
        row = b == NULL ? NULL : b->next;
        a = meld(cut(a), b == NULL ? NULL : cut(b));
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct exo_timer *one = pairs;
        pairs = one->next;
        heap = meld(heap, cut(one));
    }
    return heap;
}

void exo_timer_insert(struct exo_timer **heap, struct exo_timer *timer)
{
    timer->child = NULL;
    *heap = meld(*heap, cut(timer));
}

void exo_timer_remove(struct exo_timer **heap, struct exo_timer *timer)
{
    struct exo_timer *rest = meld_row(timer->child);
    timer->child = NULL;
    if (*heap == timer) {
        *heap = rest;
        return;
    }
    if (timer->before->child == timer)
        timer->before->child = timer->next;
    else
        timer->before->next = timer->next;
    if (timer->next != NULL)
        timer->next->before = timer->before;
    cut(timer);
    *heap = meld(*heap, rest);
}
