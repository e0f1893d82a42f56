const char linux_banner[] = "Linux version 6.1.0-56-cloud-amd64 (a compiler) #1 SMP\n";
char swapper_pg_dir[8192] __attribute__((aligned(4096)));
void _start(void) {}
