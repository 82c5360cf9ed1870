// prelude — what stands before each kernel file, after the three types that Python fills in:
//
//     real        float or double: the numbers
//     integer     int, or long long where an array is large: sizes and places in arrays
//     tap         char, or int where a window is large: a tap of a window, u·KW + v
//
// All kernels are grid-stride loops: thread t does the elements t, t + T, t + 2T, … of n, for T
// threads in all. Threads share nothing, and each number is written by one of them, which adds up
// its terms in the same order always: so a result is the same bit for bit at every run, and a
// kernel is plain C++, which the tests run on the CPU, thread after thread.
//
// Harris, "CUDA Pro Tip: Write Flexible Kernels with Grid-Stride Loops", 2013.

#define EACH(t, n)                                              \
    integer t = (integer)blockIdx.x * blockDim.x + threadIdx.x; \
    t < n;                                                      \
    t += (integer)gridDim.x * blockDim.x

// max(a, b), which is NaN if one of them is.
__device__ real maximum(real a, real b) { return a > b || a != a ? a : b; }

// The windows that see pixel r along one axis, K taps wide, s apart, begun at −p:
// from ⌈(r + p − K + 1) / s⌉, at least 0, to ⌊(r + p) / s⌋, at most `windows` − 1.
__device__ integer first_window(integer r, integer K, integer s, integer p) {
    return r + p < K ? 0 : (r + p - K) / s + 1;
}

__device__ integer last_window(integer r, integer s, integer p, integer windows) {
    integer last = (r + p) / s;
    return last < windows ? last : windows - 1;
}
