// Vectors of floats in the instruction set that this file is compiled for.
//
// LANES floats make a vector. TILE_ROWS rows of four vectors are summed in registers at once.

#ifndef JLSTM_VECTOR_H
#define JLSTM_VECTOR_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(__AVX512F__)

#include <immintrin.h>
#define LANES 16
#define TILE_ROWS 6
typedef __m512 vec;
INLINE vec load(const float *from) { return _mm512_loadu_ps(from); }
INLINE void store(float *to, vec x) { _mm512_storeu_ps(to, x); }
INLINE vec fill(float x) { return _mm512_set1_ps(x); }
INLINE vec add(vec x, vec y) { return _mm512_add_ps(x, y); }
INLINE vec sub(vec x, vec y) { return _mm512_sub_ps(x, y); }
INLINE vec mul(vec x, vec y) { return _mm512_mul_ps(x, y); }
INLINE vec divide(vec x, vec y) { return _mm512_div_ps(x, y); }
INLINE vec multiply_add(vec x, vec y, vec z) { return _mm512_fmadd_ps(x, y, z); }
INLINE vec clamp(vec x, float low, float high) {  // NaN stays NaN
  return _mm512_max_ps(fill(low), _mm512_min_ps(fill(high), x));
}
INLINE vec shift_to_exponent(vec x) {  // its lowest bits, in the place of the exponent
  const __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(x), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(127 << 23)));
}
INLINE vec load_part(const float *from, int64_t count) {
  return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
}
INLINE void store_part(float *to, vec x, int64_t count) {
  _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), x);
}

#elif defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>
#define LANES 8
#define TILE_ROWS 3
typedef __m256 vec;
INLINE vec load(const float *from) { return _mm256_loadu_ps(from); }
INLINE void store(float *to, vec x) { _mm256_storeu_ps(to, x); }
INLINE vec fill(float x) { return _mm256_set1_ps(x); }
INLINE vec add(vec x, vec y) { return _mm256_add_ps(x, y); }
INLINE vec sub(vec x, vec y) { return _mm256_sub_ps(x, y); }
INLINE vec mul(vec x, vec y) { return _mm256_mul_ps(x, y); }
INLINE vec divide(vec x, vec y) { return _mm256_div_ps(x, y); }
INLINE vec multiply_add(vec x, vec y, vec z) { return _mm256_fmadd_ps(x, y, z); }
INLINE vec clamp(vec x, float low, float high) {
  return _mm256_max_ps(fill(low), _mm256_min_ps(fill(high), x));
}
INLINE vec shift_to_exponent(vec x) {
  const __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(x), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(127 << 23)));
}

#elif defined(__SSE2__)

#include <emmintrin.h>
#define LANES 4
#define TILE_ROWS 3
typedef __m128 vec;
INLINE vec load(const float *from) { return _mm_loadu_ps(from); }
INLINE void store(float *to, vec x) { _mm_storeu_ps(to, x); }
INLINE vec fill(float x) { return _mm_set1_ps(x); }
INLINE vec add(vec x, vec y) { return _mm_add_ps(x, y); }
INLINE vec sub(vec x, vec y) { return _mm_sub_ps(x, y); }
INLINE vec mul(vec x, vec y) { return _mm_mul_ps(x, y); }
INLINE vec divide(vec x, vec y) { return _mm_div_ps(x, y); }
INLINE vec multiply_add(vec x, vec y, vec z) { return _mm_add_ps(_mm_mul_ps(x, y), z); }
INLINE vec clamp(vec x, float low, float high) {
  return _mm_max_ps(fill(low), _mm_min_ps(fill(high), x));
}
INLINE vec shift_to_exponent(vec x) {
  const __m128i bits = _mm_slli_epi32(_mm_castps_si128(x), 23);
  return _mm_castsi128_ps(_mm_add_epi32(bits, _mm_set1_epi32(127 << 23)));
}

#elif defined(__ARM_NEON)

#include <arm_neon.h>
#define LANES 4
#define TILE_ROWS 6
typedef float32x4_t vec;
INLINE vec load(const float *from) { return vld1q_f32(from); }
INLINE void store(float *to, vec x) { vst1q_f32(to, x); }
INLINE vec fill(float x) { return vdupq_n_f32(x); }
INLINE vec add(vec x, vec y) { return vaddq_f32(x, y); }
INLINE vec sub(vec x, vec y) { return vsubq_f32(x, y); }
INLINE vec mul(vec x, vec y) { return vmulq_f32(x, y); }
INLINE vec divide(vec x, vec y) { return vdivq_f32(x, y); }
INLINE vec multiply_add(vec x, vec y, vec z) { return vfmaq_f32(z, x, y); }
INLINE vec clamp(vec x, float low, float high) {
  return vmaxq_f32(fill(low), vminq_f32(fill(high), x));
}
INLINE vec shift_to_exponent(vec x) {
  const int32x4_t bits = vshlq_n_s32(vreinterpretq_s32_f32(x), 23);
  return vreinterpretq_f32_s32(vaddq_s32(bits, vdupq_n_s32(127 << 23)));
}

#else
#error "jlstm's kernels need SSE2, AVX2 with FMA, AVX-512 or NEON"
#endif

#if !defined(__AVX512F__)

INLINE vec load_part(const float *from, int64_t count) {  // zeros after `count` floats
  float lanes[LANES] = {0};
  memcpy(lanes, from, (size_t)count * sizeof(float));
  return load(lanes);
}
INLINE void store_part(float *to, vec x, int64_t count) {
  float lanes[LANES];
  store(lanes, x);
  memcpy(to, lanes, (size_t)count * sizeof(float));
}

#endif

INLINE vec load_some(const float *from, int64_t count) {
  return count >= LANES ? load(from) : load_part(from, count);
}
INLINE void store_some(float *to, vec x, int64_t count) {
  if (count >= LANES) store(to, x);
  else store_part(to, x, count);
}

#endif
