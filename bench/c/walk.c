/* Read the headers of PAGE_DATA records, with "pfns" their PFNs too: walk IMAGE OFFSET [pfns]. OFFSET
   is where the first record begins. Prints how many. */
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
    uint32_t head[4];
    int all = argc > 3;

    if (fd < 0)
        return 2;
    while (pread(fd, head, sizeof(head), at) == sizeof(head) && head[0] == PAGE_DATA) {
        size_t size = 8 * (size_t)head[2];
        if (all && (head[2] > MOST || pread(fd, pfns, size, at + 16) != (ssize_t)size))
            return 1;
        at += 8 + (((uint64_t)head[1] + 7) & ~(uint64_t)7);
        records++;
    }
    printf("%llu\n", (unsigned long long)records);
    return 0;
}
