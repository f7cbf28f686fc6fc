/* Which sites of an executable file are worth patching, remembered for the next process.
 *
 * Images, sites and copies are only ever added, under image_lock, and published by their count.
 */
#include <exo/core.h>

#include "atomic.h"

static bool is_same(const struct exo_image *image, uint64_t device, uint64_t inode,
                    int64_t mtime_ns, uint64_t size)
{
    return image->inode == inode && image->device == device && image->mtime_ns == mtime_ns &&
           image->size == size;
}

struct exo_image *exo_image_at(struct exo_kr *kr, uint32_t index)
{
    return index < EXO_NEAR_COUNT ? &kr->near_images[index]
                                  : &kr->far_images[index - EXO_NEAR_COUNT];
}

struct exo_copy *exo_copy_at(struct exo_kr *kr, uint32_t index)
{
    return index < EXO_NEAR_COUNT ? &kr->near_copies[index]
                                  : &kr->far_copies[index - EXO_NEAR_COUNT];
}

struct exo_image *exo_image_find(struct exo_kr *kr, uint64_t device, uint64_t inode,
                                 int64_t mtime_ns, uint64_t size, bool create)
{
    uint32_t count = load_acquire(&kr->image_count);
    for (uint32_t i = 0; i < count; i++)
        if (is_same(exo_image_at(kr, i), device, inode, mtime_ns, size))
            return exo_image_at(kr, i);
    if (!create)
        return NULL;
    struct exo_image *image = NULL;
    exo_lock_acquire(&kr->image_lock);
    uint32_t i = 0;
    while (i < kr->image_count && !is_same(exo_image_at(kr, i), device, inode, mtime_ns, size))
        i++;
    if (i < EXO_IMAGE_COUNT)
        image = exo_image_at(kr, i);
    if (image != NULL && i == kr->image_count) {
        image->device = device;
        image->inode = inode;
        image->mtime_ns = mtime_ns;
        image->size = size;
        image->index = i;
        store_release(&kr->image_count, i + 1);
    }
    exo_lock_release(&kr->image_lock);
    return image;
}

uint32_t *exo_image_sites(struct exo_kr *kr, const struct exo_image *image)
{
    return kr->image_sites[image->index].offsets;
}

void exo_image_add(struct exo_kr *kr, struct exo_image *image, uint32_t file_offset)
{
    uint32_t *offsets = exo_image_sites(kr, image);
    exo_lock_acquire(&kr->image_lock);
    uint32_t count = image->site_count;
    uint32_t i = 0;
    while (i < count && offsets[i] != file_offset)
        i++;
    if (i == count && count < EXO_IMAGE_SITE_COUNT) {
        offsets[count] = file_offset;
        store_release(&image->site_count, count + 1);
    }
    exo_lock_release(&kr->image_lock);
}

#define COPY_ALIGN 0x10000UL /* a large folio begins at a multiple of its size */

/* Room in the file is never given back: an image gets a new copy only each time the number of its
 * mappings has doubled. */
uint64_t exo_copy_reserve(struct exo_kr *kr, uint64_t size)
{
    exo_lock_acquire(&kr->image_lock);
    uint64_t at = (kr->copy_next + COPY_ALIGN - 1) & ~(COPY_ALIGN - 1);
    bool fits =
        size <= EXO_KR_MAPPED_SIZE + EXO_COPIES_SIZE - at && kr->copy_count < EXO_COPY_COUNT;
    if (fits)
        kr->copy_next = at + size;
    exo_lock_release(&kr->image_lock);
    return fits ? at : 0;
}

bool exo_copy_publish(struct exo_kr *kr, struct exo_image *image, const struct exo_copy *copy)
{
    exo_lock_acquire(&kr->image_lock);
    uint32_t i = kr->copy_count;
    if (i < EXO_COPY_COUNT) {
        *exo_copy_at(kr, i) = *copy;
        kr->copy_count = i + 1;
        store_release(&image->copy, i + 1);
    }
    exo_lock_release(&kr->image_lock);
    return i < EXO_COPY_COUNT;
}
