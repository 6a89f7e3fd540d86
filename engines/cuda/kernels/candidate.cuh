// What decoders give and suppression takes: boxes that reach their class's least score.
#pragma once
#include "common.cuh"

struct alignas(16) Candidate {
    float box[4];  // x1, y1, x2, y2 in pixels of the network's input
    float score;
    int class_id;
    int index;  // row * classes + class: of equal scores the lower index comes first
    int slot;   // where its key points stand
};

// Room for `capacity` candidates of each picture. `found` counts all that there were, also those without room, so that
// the host sees that it has to make more.
struct Candidates {
    Address found;      // int [n]
    Address keys;       // unsigned 64 bits [n, capacity]: rising with falling score, then with the index
    Address boxes;      // Candidate [n, capacity], in no order
    Address points;     // float [n, capacity, 10], or 0
    Address order;      // int [n, capacity]: candidates by rank
    int capacity;
};

// The float's order as that of an unsigned number. Adding 0 makes -0 and 0 the same.
__device__ __forceinline__ unsigned rising(float value) {
    const unsigned bits = __float_as_uint(value + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ unsigned long long key_of(float score, int index) {
    return static_cast<unsigned long long>(~rising(score)) << 32 | static_cast<unsigned>(index);
}

template <class T>
__device__ __forceinline__ T* row_of(Address address, int picture, int capacity) {
    return reinterpret_cast<T*>(address) + static_cast<Fixed>(picture) * capacity;
}

// Adds a candidate and returns where it went, -1 where there was no room.
__device__ __forceinline__ int append(
    const Candidates& into, int picture, const float (&box)[4], float score, int class_id, int index) {
    const int slot = atomicAdd(reinterpret_cast<int*>(into.found) + picture, 1);
    if (slot >= into.capacity) return -1;
    row_of<unsigned long long>(into.keys, picture, into.capacity)[slot] = key_of(score, index);
    Candidate& candidate = row_of<Candidate>(into.boxes, picture, into.capacity)[slot];
    for (int i = 0; i < 4; ++i) candidate.box[i] = box[i];
    candidate.score = score;
    candidate.class_id = class_id;
    candidate.index = index;
    candidate.slot = slot;
    return slot;
}
