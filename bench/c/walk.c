/* Read the headers of PAGE_DATA records, with "ends" each first and last PFN too, with "pfns" all:
   walk IMAGE OFFSET [ends|pfns]. OFFSET is where the first record begins. Prints how many. */
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE_DATA 1
#define MOST (1u << 20)

static uint64_t pfns[MOST];

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int fd = open(argv[1], O_RDONLY);
    uint64_t at = strtoull(argv[2], NULL, 0), records = 0;
    uint32_t head[6];
    int all = argc > 3 && argv[3][0] == 'p', ends = argc > 3 && !all;
    size_t front = ends ? 24 : 16;

    if (fd < 0)
        return 2;
    while (pread(fd, head, front, at) == (ssize_t)front && head[0] == PAGE_DATA) {
        size_t size = 8 * (size_t)head[2];
        if (ends && pread(fd, pfns, 8, at + 8 + size) != 8)
            return 1;
        if (all && (head[2] > MOST || pread(fd, pfns, size, at + 16) != (ssize_t)size))
            return 1;
        at += 8 + (((uint64_t)head[1] + 7) & ~(uint64_t)7);
        records++;
    }
    printf("%llu\n", (unsigned long long)records);
    return 0;
}
