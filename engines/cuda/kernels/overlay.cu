// Draws outlines, trails and masks (text and its background) onto NV12 or BGR frames in place; one launch for a whole
// batch. Grid (ceil(width / 2 / block.x), ceil(height / 2 / block.y), frames) of the largest frame; each thread draws 2
// x 2 pixels, a block of 32 x 8 threads a tile of 64 x 16. Marks are drawn over each other in order: a tile first finds
// those that touch it, as many at a time as it has threads, then each pixel applies these one after the other.
#include "picture.cuh"

enum MarkKind { OUTLINE = 0, MASK = 1, TRAIL = 2 };

struct Mark {
    int kind;
    int left, top, right, bottom;  // right and bottom are exclusive
    float radius;                  // OUTLINE: of the outer corners
    float thickness;               // OUTLINE: pixels inwards; TRAIL: of the line
    float accent, arm;             // OUTLINE: pixels inwards within `arm` pixels of a corner
    int first;                     // MASK: offset of its coverage; TRAIL: its first point
    int count;                     // MASK: bytes between rows; TRAIL: number of points
    float cover;                   // opacity 0-1, multiplied by the shape's coverage
    float colour[3];               // blue, green, red; for NV12: luma, U, V
};

struct Point {
    float x, y;  // integers are the centres of pixels
};

// Data that marks refer to, shared by all scenes.
struct Shapes {
    const Byte* masks;
    const Point* points;
};

struct Scene {
    Picture frame;
    int first, count;  // its marks
};

// Returns the coverage of a pixel by a rounded rectangle that is inset by `inset` within width x height; x and y are
// relative to its upper left corner.
__device__ __forceinline__ float rounded(float x, float y, float width, float height, float radius, float inset) {
    const float across = fabsf(x + 0.5f - width / 2.0f) - (width / 2.0f - inset - radius);
    const float down = fabsf(y + 0.5f - height / 2.0f) - (height / 2.0f - inset - radius);
    const float beyond_x = fmaxf(across, 0.0f), beyond_y = fmaxf(down, 0.0f);
    const float outside = sqrtf(beyond_x * beyond_x + beyond_y * beyond_y) + fminf(fmaxf(across, down), 0.0f) - radius;
    return fminf(fmaxf(0.5f - outside, 0.0f), 1.0f);
}

__device__ __forceinline__ float of_outline(const Mark& mark, float x, float y) {
    const float width = static_cast<float>(mark.right - mark.left), height = static_cast<float>(mark.bottom - mark.top);
    const float to_side = fminf(x, width - 1.0f - x), to_end = fminf(y, height - 1.0f - y);
    const float thickness = to_side < mark.arm && to_end < mark.arm ? mark.accent : mark.thickness;
    const float whole = rounded(x, y, width, height, mark.radius, 0.0f);
    if (width <= 2.0f * thickness || height <= 2.0f * thickness) return whole;
    const float hole = rounded(x, y, width, height, fmaxf(mark.radius - thickness, 0.0f), thickness);
    return fmaxf(whole - hole, 0.0f);
}

// The distance of a pixel from a trail is that from its nearest segment, so pixels at joints are not covered twice.
__device__ __forceinline__ float of_trail(const Mark& mark, const Point* points, float x, float y) {
    float nearest = 1e30f;
    for (int i = 0; i + 1 < mark.count; ++i) {
        const Point from = points[mark.first + i], to = points[mark.first + i + 1];
        const float along_x = to.x - from.x, along_y = to.y - from.y;
        const float squared = along_x * along_x + along_y * along_y;
        const float at = squared > 0.0f ? ((x - from.x) * along_x + (y - from.y) * along_y) / squared : 0.0f;
        const float on = fminf(fmaxf(at, 0.0f), 1.0f);
        const float off_x = x - (from.x + on * along_x), off_y = y - (from.y + on * along_y);
        nearest = fminf(nearest, off_x * off_x + off_y * off_y);
    }
    return fminf(fmaxf(mark.thickness / 2.0f + 0.5f - sqrtf(nearest), 0.0f), 1.0f);
}

__device__ __forceinline__ float cover_of(const Mark& mark, const Shapes& shapes, int x, int y) {
    if (x < mark.left || y < mark.top || x >= mark.right || y >= mark.bottom) return 0.0f;
    const int column = x - mark.left, row = y - mark.top;
    if (mark.kind == MASK)
        return mark.cover * static_cast<float>(shapes.masks[mark.first + row * mark.count + column]) / 255.0f;
    if (mark.kind == TRAIL)
        return mark.cover * of_trail(mark, shapes.points, static_cast<float>(x), static_cast<float>(y));
    return mark.cover * of_outline(mark, static_cast<float>(column), static_cast<float>(row));
}

// Four pixels with three channels each, as floats while marks are drawn over them; NV12 has one chroma for all four.
struct Four {
    float value[4][3];
};

__device__ __forceinline__ void lay(Four& four, const Mark& mark, const Shapes& shapes, bool nv12, int x, int y) {
    float covers[4], mean = 0.0f;
    for (int i = 0; i < 4; ++i) {
        covers[i] = cover_of(mark, shapes, x + i % 2, y + i / 2);
        mean += covers[i] / 4.0f;
    }
    for (int i = 0; i < 4; ++i)
        for (int channel = 0; channel < 3; ++channel) {
            const float cover = nv12 && channel ? mean : covers[i];
            float& value = four.value[i][channel];
            value = value * (1.0f - cover) + mark.colour[channel] * cover;
        }
}

__device__ __forceinline__ Byte* byte_at(const Picture& frame, int x, int y) {
    return writable_at(frame.plane) + static_cast<Fixed>(y) * frame.pitch + (frame.nv12 ? x : 3 * x);
}

__device__ __forceinline__ Byte* chroma_at(const Picture& frame, int x, int y) {
    return writable_at(frame.chroma) + static_cast<Fixed>(y / 2) * frame.chroma_pitch + x;
}

__device__ __forceinline__ Four read_four(const Picture& frame, int x, int y) {
    Four four = {};
    for (int i = 0; i < 4; ++i) {
        if (x + i % 2 >= frame.width || y + i / 2 >= frame.height) continue;
        const Byte* at = byte_at(frame, x + i % 2, y + i / 2);
        const Byte* others = frame.nv12 ? chroma_at(frame, x, y) : at + 1;
        four.value[i][0] = at[0], four.value[i][1] = others[0], four.value[i][2] = others[1];
    }
    return four;
}

__device__ __forceinline__ void write_four(const Picture& frame, int x, int y, const Four& four) {
    for (int i = 0; i < 4; ++i) {
        if (x + i % 2 >= frame.width || y + i / 2 >= frame.height) continue;
        Byte* at = byte_at(frame, x + i % 2, y + i / 2);
        at[0] = static_cast<Byte>(byte_of(four.value[i][0]));
        if (frame.nv12 && i) continue;
        Byte* others = frame.nv12 ? chroma_at(frame, x, y) : at + 1;
        others[0] = static_cast<Byte>(byte_of(four.value[i][1]));
        others[1] = static_cast<Byte>(byte_of(four.value[i][2]));
    }
}

extern "C" __global__ void overlay(
    const Scene* scenes, const Mark* marks, const Byte* masks, const Point* points) {
    const int size = 256;  // threads per block
    __shared__ unsigned touching[size / 32];

    const Shapes shapes = {masks, points};
    const Scene scene = scenes[blockIdx.z];
    const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
    const int left = static_cast<int>(2 * blockDim.x * blockIdx.x), right = left + static_cast<int>(2 * blockDim.x);
    const int top = static_cast<int>(2 * blockDim.y * blockIdx.y), bottom = top + static_cast<int>(2 * blockDim.y);
    const int x = 2 * thread_x(), y = 2 * thread_y();
    const bool inside = x < scene.frame.width && y < scene.frame.height;
    bool read = false;
    Four four = {};
    for (int start = 0; start < scene.count; start += size) {
        if (thread < size / 32) touching[thread] = 0;
        __syncthreads();
        if (start + thread < scene.count) {
            const Mark& mark = marks[scene.first + start + thread];
            if (mark.left < right && left < mark.right && mark.top < bottom && top < mark.bottom)
                atomicOr(&touching[thread / 32], 1u << (thread % 32));
        }
        __syncthreads();
        for (int word = 0; inside && word < size / 32; ++word) {
            for (unsigned rest = touching[word]; rest; rest &= rest - 1) {
                const Mark& mark = marks[scene.first + start + 32 * word + __ffs(static_cast<int>(rest)) - 1];
                if (mark.right <= x || mark.left > x + 1 || mark.bottom <= y || mark.top > y + 1) continue;
                if (!read) four = read_four(scene.frame, x, y);
                read = true;
                lay(four, mark, shapes, scene.frame.nv12, x, y);
            }
        }
        __syncthreads();
    }
    if (read) write_four(scene.frame, x, y, four);
}
