// Products of matrices, a tile of rows and columns at a time, whose sums stay in registers.
//
// Each tile is a function by itself, of a number of rows and of vectors that is known when it is
// compiled, so that the compiler has all registers for the sums.

#ifndef JLSTM_PRODUCTS_H
#define JLSTM_PRODUCTS_H

#include "vector.h"

#define WIDTH (4 * LANES)  // columns of a tile, of four vectors
#define TILE static __attribute__((noinline)) void

// Floats. `w` is read once by a tile, from the second cache or the third: without fetching it ahead
// the products ran at 0.8 and 0.5 of the rate that they have from the first (AVX-512, Xeon).
enum { CACHE_LINE = 16, PREFETCHED = 512 };

typedef vec tile[TILE_ROWS][4];

// One function for each number of rows, and a table of them from 1 on.
#if TILE_ROWS == 6
#define FOR_ROWS(DEFINE, ...)                                                           \
  DEFINE(1, __VA_ARGS__) DEFINE(2, __VA_ARGS__) DEFINE(3, __VA_ARGS__)                  \
  DEFINE(4, __VA_ARGS__) DEFINE(5, __VA_ARGS__) DEFINE(6, __VA_ARGS__)
#define TABLE(name) {0, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6}
#else
#define FOR_ROWS(DEFINE, ...) \
  DEFINE(1, __VA_ARGS__) DEFINE(2, __VA_ARGS__) DEFINE(3, __VA_ARGS__)
#define TABLE(name) {0, name##_1, name##_2, name##_3}
#endif

// Rows of a next tile, so that `left` rows are cut into equal tiles: 8 as 4 + 4, not as 6 + 2.
INLINE int next_rows(int64_t left) {
  const int64_t tiles = (left + TILE_ROWS - 1) / TILE_ROWS;
  return (int)((left + tiles - 1) / tiles);
}

// sums[r][v] += a[r][k * step] * w[k][v], for k < n. `w` holds `vecs` vectors for each k.
INLINE void accumulate(tile sums, const int rows, const int vecs, const float *const a[TILE_ROWS],
                       const int step, const float *w, int64_t n) {
  for (int64_t k = 0; k < n; k++) {
    vec columns[4];
    UNROLL for (int j = 0; j < vecs * LANES; j += CACHE_LINE) {
      __builtin_prefetch(w + PREFETCHED + j);
    }
    UNROLL for (int v = 0; v < vecs; v++) columns[v] = load(w + v * LANES);
    UNROLL for (int r = 0; r < rows; r++) {
      const vec x = fill(a[r][k * step]);
      UNROLL for (int v = 0; v < vecs; v++) sums[r][v] = multiply_add(x, columns[v], sums[r][v]);
    }
    w += vecs * LANES;
  }
}

// z[r] = start + xs[r] W_x + hs[r] W_h. The rows of `start` are `stride` floats apart; `w` holds the
// rows of W_x and then those of W_h.
#define DEFINE_SUMS(rows, _)                                                                  \
  TILE sums_##rows(float *z, const float *start, int64_t stride, const float *const *xs,      \
                   int64_t inputs, const float *const *hs, int64_t hidden, const float *w) {  \
    tile sums;                                                                                \
    UNROLL for (int r = 0; r < rows; r++) {                                                   \
      UNROLL for (int v = 0; v < 4; v++) sums[r][v] = load(start + r * stride + v * LANES);   \
    }                                                                                         \
    accumulate(sums, rows, 4, xs, 1, w, inputs);                                              \
    accumulate(sums, rows, 4, hs, 1, w + inputs * WIDTH, hidden);                             \
    UNROLL for (int r = 0; r < rows; r++) {                                                   \
      UNROLL for (int v = 0; v < 4; v++) store(z + r * WIDTH + v * LANES, sums[r][v]);        \
    }                                                                                         \
  }
FOR_ROWS(DEFINE_SUMS, )
typedef void sums_tile(float *, const float *, int64_t, const float *const *, int64_t,
                       const float *const *, int64_t, const float *);
static sums_tile *const sums_of_rows[] = TABLE(sums);

// out[r][0 : count] = sum over blocks of a[r][block * stride : + WIDTH] times w, so many vectors
// wide.
#define DEFINE_PRODUCT(rows, vecs)                                                            \
  TILE product_##vecs##_##rows(const float *const *a, int64_t stride, int64_t blocks,         \
                               const float *w, float *const *out, int64_t offset,             \
                               int64_t count) {                                               \
    tile sums;                                                                                \
    const float *block[TILE_ROWS];                                                            \
    UNROLL for (int r = 0; r < rows; r++) {                                                   \
      block[r] = a[r];                                                                        \
      UNROLL for (int v = 0; v < vecs; v++) sums[r][v] = fill(0.0f);                          \
    }                                                                                         \
    for (int64_t b = 0; b < blocks; b++) {                                                    \
      accumulate(sums, rows, vecs, block, 1, w, WIDTH);                                       \
      UNROLL for (int r = 0; r < rows; r++) block[r] += stride;                               \
      w += WIDTH * vecs * LANES;                                                              \
    }                                                                                         \
    UNROLL for (int r = 0; r < rows; r++) {                                                   \
      float *to = out[r] + offset;                                                            \
      UNROLL for (int v = 0; v < vecs - 1; v++) store(to + v * LANES, sums[r][v]);            \
      store_some(to + (vecs - 1) * LANES, sums[r][vecs - 1], count - (vecs - 1) * LANES);     \
    }                                                                                         \
  }
FOR_ROWS(DEFINE_PRODUCT, 1)
FOR_ROWS(DEFINE_PRODUCT, 2)
FOR_ROWS(DEFINE_PRODUCT, 3)
FOR_ROWS(DEFINE_PRODUCT, 4)
typedef void product_tile(const float *const *, int64_t, int64_t, const float *, float *const *,
                          int64_t, int64_t);
static product_tile *const products[][TILE_ROWS + 1] = {
    {0}, TABLE(product_1), TABLE(product_2), TABLE(product_3), TABLE(product_4)};

// Rows in panels, (blocks, *, WIDTH), times a packed matrix: column block `column` of the result.
static void product_rows(const float *const *a, int64_t n, int64_t stride, int64_t blocks,
                         const float *packed, int64_t column, int64_t columns, float *const *out) {
  const int64_t offset = column * WIDTH;
  const int64_t count = columns - offset < WIDTH ? columns - offset : WIDTH;
  const float *w = packed + offset * blocks * WIDTH;
  product_tile *const *tiles = products[(count + LANES - 1) / LANES];
  for (int64_t r = 0; r < n;) {
    const int rows = next_rows(n - r);
    tiles[rows](a + r, stride, blocks, w, out + r, offset, count);
    r += rows;
  }
}

// to[r][v * hidden : + count] (+)= sum over entries of a[entry][r] z[entry][v]; not added to what
// is there if it is fresh.
#define DEFINE_GRADIENT(rows, _)                                                              \
  TILE gradient_##rows(const float *a, const float *z, int64_t entries, int fresh,            \
                       float *const *to, int64_t hidden, int64_t count) {                     \
    tile sums;                                                                                \
    const float *column[TILE_ROWS];                                                           \
    UNROLL for (int r = 0; r < rows; r++) {                                                   \
      column[r] = a + r;                                                                      \
      UNROLL for (int v = 0; v < 4; v++) {                                                    \
        sums[r][v] = fresh ? fill(0.0f) : load_some(to[r] + v * hidden, count);               \
      }                                                                                       \
    }                                                                                         \
    accumulate(sums, rows, 4, column, TILE_ROWS, z, entries);                                 \
    UNROLL for (int r = 0; r < rows; r++) {                                                   \
      UNROLL for (int v = 0; v < 4; v++) store_some(to[r] + v * hidden, sums[r][v], count);   \
    }                                                                                         \
  }
FOR_ROWS(DEFINE_GRADIENT, )
typedef void gradient_tile(const float *, const float *, int64_t, int, float *const *, int64_t,
                           int64_t);
static gradient_tile *const gradients_of_rows[] = TABLE(gradient);

#endif
