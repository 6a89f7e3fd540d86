// Redacts regions of NV12 or BGR images in place, by pixelating or blurring them. Two launches for a whole batch: the
// first computes the mean of each cell that a region needs, the second the regions' pixels from these means. Cells
// belong to the image rather than to a region, so regions may overlap. The output depends only on means, so no original
// detail remains visible.
#include "picture.cuh"

struct Region {
    int picture;                   // index of the image
    int left, top, right, bottom;  // left and top are even; right and bottom are exclusive
};

struct Cells {
    int size;             // pixels each way, even
    int columns, rows;    // of the largest image
    int blur;             // 0: one colour per cell; else means interpolated between cell centres
    Address means;        // float [images, rows, columns, 3]
};

__device__ __forceinline__ float* mean_at(const Cells& cells, int picture, int column, int row) {
    return reinterpret_cast<float*>(cells.means) +
        3 * ((static_cast<Fixed>(picture) * cells.rows + row) * cells.columns + column);
}

// Reads a pixel's three channels as stored in memory.
__device__ __forceinline__ void raw_at(const Picture& from, int x, int y, int (&value)[3]) {
    const Byte* at = bytes_at(from.plane) + static_cast<Fixed>(y) * from.pitch + (from.nv12 ? x : 3 * x);
    const Byte* others =
        from.nv12 ? bytes_at(from.chroma) + static_cast<Fixed>(y / 2) * from.chroma_pitch + (x & ~1) : at + 1;
    value[0] = at[0], value[1] = others[0], value[2] = others[1];
}

// Grid (ceil(columns / block.x), ceil(rows / block.y), regions): one thread per cell that the region needs.
extern "C" __global__ void cell_means(const Picture* pictures, const Region* regions, Cells cells) {
    const Region region = regions[blockIdx.z];
    const Picture from = pictures[region.picture];
    const int last_column = (from.width - 1) / cells.size, last_row = (from.height - 1) / cells.size;
    const int column = thread_x() + max(region.left / cells.size - 1, 0);
    const int row = thread_y() + max(region.top / cells.size - 1, 0);
    if (column > min((region.right - 1) / cells.size + 1, last_column)) return;
    if (row > min((region.bottom - 1) / cells.size + 1, last_row)) return;
    const int right = min((column + 1) * cells.size, from.width), bottom = min((row + 1) * cells.size, from.height);
    int sum[3] = {0, 0, 0};
    for (int y = row * cells.size; y < bottom; ++y)
        for (int x = column * cells.size; x < right; ++x) {
            int value[3];
            raw_at(from, x, y, value);
            for (int i = 0; i < 3; ++i) sum[i] += value[i];
        }
    const float count = static_cast<float>((right - column * cells.size) * (bottom - row * cells.size));
    // Several regions may need the same cell: all write the same values.
    for (int i = 0; i < 3; ++i) mean_at(cells, region.picture, column, row)[i] = static_cast<float>(sum[i]) / count;
}

__device__ __forceinline__ float shown(
    const Cells& cells, const Region& region, const Picture& of, float x, float y, int channel) {
    const float size = static_cast<float>(cells.size);
    if (!cells.blur)
        return mean_at(cells, region.picture, static_cast<int>(x / size), static_cast<int>(y / size))[channel];
    const float at_x = fmaxf(x / size - 0.5f, 0.0f), at_y = fmaxf(y / size - 0.5f, 0.0f);
    const int last_column = (of.width - 1) / cells.size, last_row = (of.height - 1) / cells.size;
    const int column = min(static_cast<int>(at_x), last_column), row = min(static_cast<int>(at_y), last_row);
    const int next_column = min(column + 1, last_column), next_row = min(row + 1, last_row);
    const float across = at_x - static_cast<float>(column), down = at_y - static_cast<float>(row);
    const float a = mean_at(cells, region.picture, column, row)[channel];
    const float b = mean_at(cells, region.picture, next_column, row)[channel];
    const float c = mean_at(cells, region.picture, column, next_row)[channel];
    const float d = mean_at(cells, region.picture, next_column, next_row)[channel];
    return (a * (1.0f - across) + b * across) * (1.0f - down) + (c * (1.0f - across) + d * across) * down;
}

// Grid (ceil(width / 2 / block.x), ceil(height / 2 / block.y), regions) of the largest region: one thread per 2 x 2
// pixels. Where regions overlap, each of them writes the same values to a pixel.
extern "C" __global__ void hide(const Picture* pictures, const Region* regions, Cells cells) {
    const Region region = regions[blockIdx.z];
    const Picture of = pictures[region.picture];
    const int left = region.left + 2 * thread_x(), top = region.top + 2 * thread_y();
    if (left >= region.right || top >= region.bottom) return;
    for (int i = 0; i < 4; ++i) {
        const int x = left + i % 2, y = top + i / 2;
        if (x >= of.width || y >= of.height) continue;
        Byte* at = writable_at(of.plane) + static_cast<Fixed>(y) * of.pitch + (of.nv12 ? x : 3 * x);
        for (int channel = 0; channel < (of.nv12 ? 1 : 3); ++channel)
            at[channel] = static_cast<Byte>(byte_of(
                shown(cells, region, of, static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f, channel)));
    }
    if (!of.nv12) return;
    Byte* chroma = writable_at(of.chroma) + static_cast<Fixed>(top / 2) * of.chroma_pitch + left;
    for (int i = 0; i < 2; ++i)
        chroma[i] = static_cast<Byte>(byte_of(
            shown(cells, region, of, static_cast<float>(left) + 1.0f, static_cast<float>(top) + 1.0f, 1 + i)));
}
