/* Elementary functions of vectors, within about half a unit in the last place.

   Without fused multiply-adds the C library's functions take their place, lane by lane; so they do
   for lanes with zeros, denormals, infinities and what lies near the ends of the exponent.

   exp: reduction by multiples of ln 2 in two parts, then the Taylor series. log and pow:
   log m = 2 artanh((m - 1) / (m + 1)) in double-double, 65 bits. See J.-M. Muller, Elementary
   Functions, 3rd ed. (2016), doi:10.1007/978-1-4899-7983-4, chapters 5 and 11. */

#ifndef XCNET_TAPE_MATH_H
#define XCNET_TAPE_MATH_H

#include <math.h>

/* Subtracted, as adding zero is not nothing to -0. */
#define SPLAT(x) ((x) - (vector){0.0})
#define LANE_COUNT (sizeof(vector) / sizeof(double))

static inline vector blend(integers mask, vector a, vector b)
{
    return (vector)((mask & (integers)a) | (~mask & (integers)b));
}

#define EACH_LANE(result, ...)                                                                    \
    for (size_t lane = 0; lane < LANE_COUNT; lane++)                                              \
        (result)[lane] = __VA_ARGS__

#ifdef HAVE_FMA

static const double LN2_HIGH = 0x1.62e42feep-1, LN2_LOW = 0x1.a39ef35793c76p-33;
static const double ROUNDER = 0x1.8p52; /* adding it rounds to a whole number */

/* 2^n of whole numbers from -1022 to 1023. */
static inline vector power_of_two(vector n)
{
    return (vector)((integers)(n + SPLAT(ROUNDER + 1023.0)) << 52);
}

static inline vector nearest(vector x)
{
    return (x + SPLAT(ROUNDER)) - SPLAT(ROUNDER);
}

/* (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2. */
static inline vector exp_tail(vector r)
{
    static const double c[] = {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0,
                               1.0 / 3628800.0,    1.0 / 362880.0,    1.0 / 40320.0,
                               1.0 / 5040.0,       1.0 / 720.0,       1.0 / 120.0,
                               1.0 / 24.0,         1.0 / 6.0,         0.5};
    vector sum = SPLAT(c[0]);
    for (size_t i = 1; i < sizeof c / sizeof *c; i++)
        sum = fused(sum, r, SPLAT(c[i]));
    return sum;
}

/* n and r of x + low = n ln 2 + r + *rest. */
static inline vector reduce(vector x, vector low, vector *r, vector *rest)
{
    vector n = nearest(x * SPLAT(M_LOG2E));
    vector high = fused(n, SPLAT(-LN2_HIGH), x);
    low = fused(n, SPLAT(-LN2_LOW), low);
    *r = high + low;
    *rest = (high - *r) + low;
    return n;
}

/* exp(x + low), low small beside x, x from -746 to 710. */
static inline vector exp_of_sum(vector x, vector low)
{
    vector r, rest, n = reduce(x, low, &r, &rest);
    vector sum = SPLAT(1.0) + r;
    vector error = (SPLAT(1.0) - sum) + r;
    vector value = sum + (error + fused(r * r, exp_tail(r), rest));
    vector half = nearest(n * SPLAT(0.5)); /* 2^n itself may be no number */
    return value * power_of_two(half) * power_of_two(n - half);
}

static inline vector vector_exp(vector x)
{
    x = blend(x > SPLAT(710.0), SPLAT(710.0), x);
    x = blend(x < SPLAT(-746.0), SPLAT(-746.0), x);
    return exp_of_sum(x, SPLAT(0.0));
}

/* log of normal positive numbers as the sum of two. */
static inline vector log_as_sum(vector x, vector *low)
{
    static const double c[] = {1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15,
                               1.0 / 13, 1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5};
    const integers root = (integers)SPLAT(M_SQRT1_2), excess = (integers)SPLAT(0x1p1);
    naturals shifted = (naturals)((integers)x - root + excess) >> 52; /* exponent + 1024 */
    vector k = (vector)((integers)shifted + (integers)SPLAT(0x1p52)) - SPLAT(0x1p52 + 1024.0);
    vector m = (vector)((integers)x - (((integers)shifted - 1024) << 52));
    /* s = (m - 1) / (m + 1) */
    vector a = m - SPLAT(1.0), b = m + SPLAT(1.0), b_low = SPLAT(1.0) - (b - m);
    vector inverse = SPLAT(1.0) / b, s = a * inverse;
    vector s_low = (fused(-s, b, a) - s * b_low) * inverse;
    vector z = s * s, z_low = fused(s, s, -z) + (s + s) * s_low;
    /* t = z / 3 + z^2 / 5 + ... */
    vector sum = SPLAT(c[0]);
    for (size_t i = 1; i < sizeof c / sizeof *c; i++)
        sum = fused(sum, z, SPLAT(c[i]));
    const vector third = SPLAT(1.0 / 3.0), third_low = SPLAT(0x1.5555555555555p-56);
    vector first = z * third;
    vector rest = fused(z, third, -first) + fused(z, third_low, z_low * third);
    rest += z * z * sum;
    vector t = first + rest, t_low = (first - t) + rest;
    /* 2 s (1 + t) + k ln 2 */
    vector product = s * t;
    vector product_low = fused(s, t, -product) + fused(s, t_low, s_low * t);
    vector high = s + product;
    rest = ((s - high) + product) + (s_low + product_low);
    high += high;
    rest += rest;
    vector scale = k * SPLAT(LN2_HIGH), total = scale + high;
    rest += (scale - total) + high + k * SPLAT(LN2_LOW);
    *low = rest;
    return total;
}

static inline integers is_normal_positive(vector x)
{
    return (x >= SPLAT(0x1p-1022)) & (x < SPLAT(__builtin_inf()));
}

static inline vector vector_log(vector x)
{
    integers good = is_normal_positive(x);
    vector low, safe = blend(good, x, SPLAT(1.0));
    vector high = log_as_sum(safe, &low), result = high + low;
    if (any(~good))
        EACH_LANE(result, good[lane] ? result[lane] : log(x[lane]));
    return result;
}

static inline vector vector_pow(vector x, vector y)
{
    integers good = is_normal_positive(x);
    vector low, high = log_as_sum(blend(good, x, SPLAT(1.0)), &low);
    vector product = y * high;
    low = fused(y, high, -product) + y * low;
    good &= (product > SPLAT(-708.0)) & (product < SPLAT(708.0));
    const vector zero = SPLAT(0.0);
    vector result = exp_of_sum(blend(good, product, zero), blend(good, low, zero));
    if (any(~good))
        EACH_LANE(result, good[lane] ? result[lane] : pow(x[lane], y[lane]));
    return result;
}

/* -expm1(-2|x|) / (expm1(-2|x|) + 2) with the sign of x. */
static inline vector vector_tanh(vector x)
{
    const integers sign = (integers)SPLAT(-0.0);
    vector twice = (vector)((integers)(x + x) | sign);
    twice = blend(twice < SPLAT(-44.0), SPLAT(-44.0), twice);
    vector r, rest, n = reduce(twice, SPLAT(0.0), &r, &rest);
    vector less_one = r + fused(r * r, exp_tail(r), rest);
    vector scale = power_of_two(n);
    vector t = fused(scale, less_one, scale - SPLAT(1.0));
    vector result = t / (t + SPLAT(2.0));
    return (vector)(((integers)result & ~sign) | ((integers)x & sign));
}

#else

static inline vector vector_exp(vector x)
{
    EACH_LANE(x, exp(x[lane]));
    return x;
}

static inline vector vector_log(vector x)
{
    EACH_LANE(x, log(x[lane]));
    return x;
}

static inline vector vector_pow(vector x, vector y)
{
    EACH_LANE(x, pow(x[lane], y[lane]));
    return x;
}

static inline vector vector_tanh(vector x)
{
    EACH_LANE(x, tanh(x[lane]));
    return x;
}

#endif

static inline vector vector_abs(vector x)
{
    return (vector)((integers)x & ~(integers)SPLAT(-0.0));
}

static inline vector vector_sign(vector x)
{
    vector result = blend(x < SPLAT(0.0), SPLAT(-1.0), x + SPLAT(0.0));
    return blend(x > SPLAT(0.0), SPLAT(1.0), result);
}

/* In the form of ONNX Runtime, with its cancellation below zero. */
static inline vector vector_sigmoid(vector x)
{
    vector half = SPLAT(1.0) / (SPLAT(1.0) + vector_exp(-vector_abs(x)));
    return blend(x >= SPLAT(0.0), half, SPLAT(1.0) - half);
}

/* NaN if one is; the second of equal ones. */
static inline vector vector_max(vector a, vector b)
{
    return blend((a > b) | (a != a), a, b);
}

static inline vector vector_min(vector a, vector b)
{
    return blend((a < b) | (a != a), a, b);
}

#endif
