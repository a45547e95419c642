// GroupNorm followed by an optional SiLU, forward and backward, for bfloat16 pictures stored channels-last.
//
// torch's own backward is a third of a training step on a CPU with matrix units. This one reads each tensor
// twice and keeps sums in float. Compiled by group_norm.py; the maths is Wu and He, "Group Normalization" (2018).
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

inline float to_float(uint16_t value) {
    uint32_t bits = static_cast<uint32_t>(value) << 16;
    float out;
    std::memcpy(&out, &bits, 4);
    return out;
}

inline uint16_t to_bfloat16(float value) {  // round to nearest, ties to even
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// The coefficients depend on the channel only: repeat them over a few pixels, so that the inner loop is long.
int64_t pixels_per_row(int64_t channels, int64_t pixels) {
    int64_t repeat = 1;
    while (repeat * channels < 128 && pixels % (repeat * 2) == 0) repeat *= 2;
    return repeat;
}

constexpr int64_t kFlushRows = 64;  // float sums are added to double ones this often

void fold(const std::vector<float>& row, std::vector<double>& sums, int64_t channels) {
    for (size_t i = 0; i < row.size(); ++i) sums[i % channels] += row[i];
}

}  // namespace

extern "C" {

// x, y: (n, pixels, channels) bfloat16; gamma, beta: (channels) float; mean, rstd: (n, groups) float, written.
void group_norm_forward(const uint16_t* x, uint16_t* y, const float* gamma, const float* beta, float* mean,
                        float* rstd, int64_t n, int64_t pixels, int64_t channels, int64_t groups, float eps,
                        int silu) {
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < n; ++b) {
        const int64_t repeat = pixels_per_row(channels, pixels), width = repeat * channels;
        const int64_t rows = pixels / repeat, per_group = channels / groups;
        const uint16_t* xb = x + b * pixels * channels;
        uint16_t* yb = y + b * pixels * channels;
        std::vector<float> s(width, 0.f), q(width, 0.f), scale(width), shift(width);
        std::vector<double> sum(channels, 0.0), square(channels, 0.0);
        for (int64_t r = 0; r < rows; ++r) {
            const uint16_t* row = xb + r * width;
            float *sp = s.data(), *qp = q.data();
#pragma omp simd
            for (int64_t i = 0; i < width; ++i) {
                const float v = to_float(row[i]);
                sp[i] += v;
                qp[i] += v * v;
            }
            if (r % kFlushRows == kFlushRows - 1 || r == rows - 1) {
                fold(s, sum, channels);
                fold(q, square, channels);
                std::fill(s.begin(), s.end(), 0.f);
                std::fill(q.begin(), q.end(), 0.f);
            }
        }
        for (int64_t g = 0; g < groups; ++g) {
            double total = 0, squares = 0;
            for (int64_t c = g * per_group; c < (g + 1) * per_group; ++c) total += sum[c], squares += square[c];
            const double count = static_cast<double>(per_group) * pixels, m = total / count;
            const double variance = squares / count - m * m;
            const float inverse = static_cast<float>(1.0 / std::sqrt((variance > 0 ? variance : 0) + eps));
            mean[b * groups + g] = static_cast<float>(m);
            rstd[b * groups + g] = inverse;
            for (int64_t c = g * per_group; c < (g + 1) * per_group; ++c) {
                scale[c] = gamma[c] * inverse;
                shift[c] = beta[c] - static_cast<float>(m) * scale[c];
            }
        }
        for (int64_t i = channels; i < width; ++i) scale[i] = scale[i - channels], shift[i] = shift[i - channels];
        const float *a = scale.data(), *h = shift.data();
        for (int64_t r = 0; r < rows; ++r) {
            const uint16_t* row = xb + r * width;
            uint16_t* out = yb + r * width;
            if (silu) {
#pragma omp simd
                for (int64_t i = 0; i < width; ++i) {
                    const float u = to_float(row[i]) * a[i] + h[i];
                    out[i] = to_bfloat16(u / (1.f + std::exp(-u)));
                }
            } else {
#pragma omp simd
                for (int64_t i = 0; i < width; ++i) out[i] = to_bfloat16(to_float(row[i]) * a[i] + h[i]);
            }
        }
    }
}

// dx: like x. dgamma, dbeta: (n, channels) float, one row a picture: the caller adds them up.
void group_norm_backward(const uint16_t* dy, const uint16_t* x, const float* gamma, const float* beta,
                         const float* mean, const float* rstd, uint16_t* dx, float* dgamma, float* dbeta, int64_t n,
                         int64_t pixels, int64_t channels, int64_t groups, int silu) {
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < n; ++b) {
        const int64_t repeat = pixels_per_row(channels, pixels), width = repeat * channels;
        const int64_t rows = pixels / repeat, per_group = channels / groups;
        const int64_t offset = b * pixels * channels;
        std::vector<float> s(width, 0.f), q(width, 0.f), scale(width), shift(width);
        std::vector<double> sum(channels, 0.0), product(channels, 0.0);
        for (int64_t i = 0; i < width; ++i) {
            const int64_t c = i % channels, g = c / per_group;
            scale[i] = gamma[c] * rstd[b * groups + g];
            shift[i] = beta[c] - mean[b * groups + g] * scale[i];
        }
        const float *a = scale.data(), *h = shift.data();
        for (int64_t r = 0; r < rows; ++r) {  // first pass: du into dx, its sums per channel
            const uint16_t *row = x + offset + r * width, *grad = dy + offset + r * width;
            uint16_t* out = dx + offset + r * width;
            float *sp = s.data(), *qp = q.data();
            if (silu) {
#pragma omp simd
                for (int64_t i = 0; i < width; ++i) {
                    const float v = to_float(row[i]), u = v * a[i] + h[i];
                    const float gate = 1.f / (1.f + std::exp(-u));
                    const float du = to_float(grad[i]) * gate * (1.f + u * (1.f - gate));
                    out[i] = to_bfloat16(du);
                    sp[i] += du;
                    qp[i] += du * v;
                }
            } else {
#pragma omp simd
                for (int64_t i = 0; i < width; ++i) {
                    const float du = to_float(grad[i]);
                    out[i] = grad[i];
                    sp[i] += du;
                    qp[i] += du * to_float(row[i]);
                }
            }
            if (r % kFlushRows == kFlushRows - 1 || r == rows - 1) {
                fold(s, sum, channels);
                fold(q, product, channels);
                std::fill(s.begin(), s.end(), 0.f);
                std::fill(q.begin(), q.end(), 0.f);
            }
        }
        std::vector<float> by_x(width), constant(width);
        for (int64_t g = 0; g < groups; ++g) {
            const double m = mean[b * groups + g], inverse = rstd[b * groups + g];
            double plain = 0, with_x = 0;
            for (int64_t c = g * per_group; c < (g + 1) * per_group; ++c) {
                const double normalised = inverse * (product[c] - m * sum[c]);
                dgamma[b * channels + c] = static_cast<float>(normalised);
                dbeta[b * channels + c] = static_cast<float>(sum[c]);
                plain += gamma[c] * sum[c];
                with_x += gamma[c] * normalised;
            }
            const double count = static_cast<double>(per_group) * pixels;
            for (int64_t c = g * per_group; c < (g + 1) * per_group; ++c) {
                by_x[c] = static_cast<float>(-inverse * inverse * with_x / count);
                constant[c] = static_cast<float>(-inverse * plain / count - m * by_x[c]);
            }
        }
        for (int64_t i = channels; i < width; ++i) by_x[i] = by_x[i - channels], constant[i] = constant[i - channels];
        const float *k = by_x.data(), *d = constant.data();
        for (int64_t r = 0; r < rows; ++r) {  // second pass: dx = scale * du + by_x * x + constant
            const uint16_t* row = x + offset + r * width;
            uint16_t* out = dx + offset + r * width;
#pragma omp simd
            for (int64_t i = 0; i < width; ++i)
                out[i] = to_bfloat16(to_float(out[i]) * a[i] + to_float(row[i]) * k[i] + d[i]);
        }
    }
}

}  // extern "C"
