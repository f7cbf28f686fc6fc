/* Images: one entry per file whoever asks first, sites without duplicates, and what happens when
 * either is full.
 */
#include "setup.h"

#define THREADS 4
#define KEYS 64
#define SITES 100

struct shared {
    struct exo_kr *kr;
    struct exo_image *found[THREADS][KEYS];
};

static void find_all(struct worker *worker)
{
    struct shared *shared = worker->shared;
    for (uint32_t i = 0; i < KEYS; i++) {
        uint32_t key = worker->index % 2 ? i : KEYS - 1 - i;
        struct exo_image *image = exo_image_find(shared->kr, 8, 100 + key, 1000, 4096, true);
        CHECK(image != NULL);
        shared->found[worker->index][key] = image;
    }
}

static void test_find(struct shared *shared)
{
    struct exo_kr *kr = shared->kr;
    CHECK(exo_image_find(kr, 8, 100, 1000, 4096, false) == NULL);
    run_threads(THREADS, find_all, shared);
    CHECK_SAME(kr->image_count, KEYS);
    for (uint32_t key = 0; key < KEYS; key++)
        for (uint32_t i = 1; i < THREADS; i++)
            CHECK(shared->found[i][key] == shared->found[0][key]);
    const struct exo_image *image = exo_image_find(kr, 8, 100, 1000, 4096, false);
    CHECK(image == shared->found[0][0]);
    CHECK(image->device == 8 && image->inode == 100);
    CHECK(image->mtime_ns == 1000 && image->size == 4096);
    CHECK_SAME(image->site_count, 0);
}

/* Each part of the key counts. */
static void test_key(struct exo_kr *kr)
{
    CHECK(exo_image_find(kr, 9, 100, 1000, 4096, false) == NULL);
    CHECK(exo_image_find(kr, 8, 99, 1000, 4096, false) == NULL);
    CHECK(exo_image_find(kr, 8, 100, 1001, 4096, false) == NULL);
    CHECK(exo_image_find(kr, 8, 100, 1000, 4097, false) == NULL);
}

static void add_all(struct worker *worker)
{
    struct shared *shared = worker->shared;
    for (uint32_t i = 0; i < SITES; i++) {
        uint32_t site = worker->index % 2 ? i : SITES - 1 - i;
        exo_image_add(shared->kr, shared->found[0][0], 0x1000 + 16 * site);
    }
}

static void test_add(struct shared *shared)
{
    const struct exo_image *image = shared->found[0][0];
    bool seen[SITES] = {false};
    run_threads(THREADS, add_all, shared);
    CHECK_SAME(image->site_count, SITES);
    for (uint32_t i = 0; i < SITES; i++) {
        uint32_t site = (exo_image_sites(shared->kr, image)[i] - 0x1000) / 16;
        CHECK(site < SITES && !seen[site]);
        seen[site] = true;
    }
    CHECK_SAME(shared->found[0][1]->site_count, 0);
}

static void test_sites_full(struct shared *shared)
{
    struct exo_image *image = shared->found[0][1];
    struct exo_image next = image[1];
    for (uint32_t i = 0; i < EXO_IMAGE_SITE_COUNT + 10; i++)
        exo_image_add(shared->kr, image, i);
    CHECK_SAME(image->site_count, EXO_IMAGE_SITE_COUNT);
    for (uint32_t i = 0; i < EXO_IMAGE_SITE_COUNT; i++)
        CHECK_SAME(exo_image_sites(shared->kr, image)[i], i);
    CHECK(memcmp(&next, &image[1], sizeof(next)) == 0);
}

static void test_full(struct shared *shared)
{
    struct exo_kr *kr = shared->kr;
    for (uint64_t i = kr->image_count; i < EXO_IMAGE_COUNT; i++)
        CHECK(exo_image_find(kr, 1, 100000 + i, 1, 1, true) == exo_image_at(kr, (uint32_t)i));
    CHECK(exo_image_find(kr, 2, 1, 1, 1, true) == NULL);
    CHECK(exo_image_find(kr, 2, 1, 1, 1, false) == NULL);
    CHECK_SAME(kr->image_count, EXO_IMAGE_COUNT);
    CHECK(exo_image_find(kr, 8, 100, 1000, 4096, true) == shared->found[0][0]);
}

int main(void)
{
    begin(30);
    static struct shared shared;
    shared.kr = region_create();
    test_find(&shared);
    test_key(shared.kr);
    test_add(&shared);
    test_sites_full(&shared);
    test_full(&shared);
    region_destroy(shared.kr);
    return 0;
}
