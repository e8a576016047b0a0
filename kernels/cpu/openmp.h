/* openmp.h - the calls of OpenMP that we need, so that tools without a compiler's omp.h can read
 * us. */
#ifndef DARKROOM_KERNELS_CPU_OPENMP_H
#define DARKROOM_KERNELS_CPU_OPENMP_H

int omp_get_num_procs(void);
int omp_get_thread_num(void);
void omp_set_num_threads(int threads);

#endif
