// Sigmoid and tanh of vectors, each within a few roundings of the exact value over all floats.
//
// The coefficients are minimax fits of the relative error: 2e-9 for exp over half a power of two
// either side of 1, 1.3e-9 for tanh(x) / x as a ratio of polynomials in x^2, over |x| < 9.02.

#ifndef JLSTM_ACTIVATIONS_H
#define JLSTM_ACTIVATIONS_H

#include "vector.h"

INLINE vec sigmoid(vec x) {
  // exp(-x) = 2^n exp(r), |r| <= log(2) / 2. Adding 1.5 * 2^23 rounds to the integer n.
  const vec y = clamp(sub(fill(0.0f), x), -87.0f, 89.0f);
  const vec rounded = multiply_add(y, fill(1.44269504f), fill(12582912.0f));
  const vec n = sub(rounded, fill(12582912.0f));
  const vec r = multiply_add(n, fill(-1.42860677e-6f), multiply_add(n, fill(-0.693145752f), y));
  vec e = fill(1.3836580e-3f);
  e = multiply_add(e, r, fill(8.3748143e-3f));
  e = multiply_add(e, r, fill(4.1668230e-2f));
  e = multiply_add(e, r, fill(1.6666420e-1f));
  e = multiply_add(e, r, fill(4.9999992e-1f));
  e = multiply_add(e, r, fill(1.0f));
  e = multiply_add(e, r, fill(1.0f));
  return divide(fill(1.0f), multiply_add(e, shift_to_exponent(rounded), fill(1.0f)));
}

INLINE vec hyperbolic_tangent(vec x) {
  x = clamp(x, -9.02f, 9.02f);
  const vec y = mul(x, x);
  vec p = fill(-1.2203577623e-11f);
  p = multiply_add(p, y, fill(3.0585323909952566e-8f));
  p = multiply_add(p, y, fill(2.800763938432365e-5f));
  p = multiply_add(p, y, fill(3.8683384368512906e-3f));
  p = multiply_add(p, y, fill(1.3679924084451373e-1f));
  p = multiply_add(p, y, fill(0.9999999986930714f));
  vec q = fill(1.2873774112512502e-6f);
  q = multiply_add(q, y, fill(3.938648690178173e-4f));
  q = multiply_add(q, y, fill(2.7245879492445793e-2f));
  q = multiply_add(q, y, fill(4.7013256151800176e-1f));
  q = multiply_add(q, y, fill(1.0f));
  return clamp(divide(mul(x, p), q), -1.0f, 1.0f);
}

#endif
