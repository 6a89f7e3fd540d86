// Launches on the host: `EXPORT(kernel)` defines `host_<kernel>(arguments, grid, block)`, with the arguments of
// cuLaunchKernel: one pointer per argument. FIBRES is 1 for sources that call __syncthreads.
#pragma once
#include <ucontext.h>

#include <functional>
#include <mutex>
#include <tuple>
#include <vector>

#include "host_cuda.h"

namespace host {

// Runs the threads of one block as fibres: each runs until it waits at a barrier, then the next one runs.
struct Block {
    static constexpr size_t stack_bytes = 64 * 1024;
    std::vector<ucontext_t> fibres;
    std::vector<char> stacks;
    ucontext_t scheduler;
    size_t running = 0;
    std::vector<char> ended;
    const std::function<void()>* body = nullptr;
};
inline Block block_of_fibres;

inline void enter() {
    Block& block = block_of_fibres;
    (*block.body)();
    block.ended[block.running] = 1;
    swapcontext(&block.fibres[block.running], &block.scheduler);
}

inline void run_fibres(const std::function<void()>& body, size_t threads) {
    Block& block = block_of_fibres;
    block.body = &body;
    block.fibres.assign(threads, {});
    block.stacks.resize(threads * Block::stack_bytes);
    block.ended.assign(threads, 0);
    for (size_t i = 0; i < threads; ++i) {
        getcontext(&block.fibres[i]);
        block.fibres[i].uc_stack.ss_sp = block.stacks.data() + i * Block::stack_bytes;
        block.fibres[i].uc_stack.ss_size = Block::stack_bytes;
        makecontext(&block.fibres[i], enter, 0);
    }
    for (size_t left = threads; left > 0;) {
        for (size_t i = 0; i < threads; ++i) {
            if (block.ended[i]) continue;
            block.running = i;
            const unsigned thread = static_cast<unsigned>(i);
            threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / (blockDim.x * blockDim.y)};
            swapcontext(&block.scheduler, &block.fibres[i]);
            left -= block.ended[i];
        }
    }
}

inline void run(const std::function<void()>& body, const unsigned* grid, const unsigned* block, bool fibres) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    for (unsigned z = 0; z < grid[2]; ++z)
        for (unsigned y = 0; y < grid[1]; ++y)
            for (unsigned x = 0; x < grid[0]; ++x) {
                blockIdx = {x, y, z};
                if (fibres) {
                    run_fibres(body, static_cast<size_t>(block[0]) * block[1] * block[2]);
                    continue;
                }
                for (unsigned k = 0; k < block[2]; ++k)
                    for (unsigned j = 0; j < block[1]; ++j)
                        for (unsigned i = 0; i < block[0]; ++i) {
                            threadIdx = {i, j, k};
                            body();
                        }
            }
}

template <class... A>
void call(void (*kernel)(A...), void** arguments, const unsigned* grid, const unsigned* block, bool fibres) {
    std::tuple<std::decay_t<A>...> values;
    size_t next = 0;
    const auto read = [&](auto& value) { std::memcpy(&value, arguments[next++], sizeof value); };
    std::apply([&](auto&... value) { (read(value), ...); }, values);
    run([&] { std::apply(kernel, values); }, grid, block, fibres);
}

// Writes the sizes of the kernel's arguments in bytes; returns how many there are.
template <class... A>
int sizes(void (*)(A...), int* into) {
    ((*into++ = sizeof(A)), ...);
    return sizeof...(A);
}

// Like `call`, for arguments packed into one buffer with C++ alignment, as in the stand-in driver.
inline std::mutex one_launch_at_a_time;

template <class... A>
void call_packed(
    void (*kernel)(A...), const unsigned char* packed, const unsigned* grid, const unsigned* block, bool fibres) {
    std::tuple<std::decay_t<A>...> values;
    size_t at = 0;
    const auto read = [&](auto& value) {
        at = (at + alignof(decltype(value)) - 1) / alignof(decltype(value)) * alignof(decltype(value));
        std::memcpy(&value, packed + at, sizeof value);
        at += sizeof value;
    };
    std::apply([&](auto&... value) { (read(value), ...); }, values);
    const std::lock_guard<std::mutex> lock(one_launch_at_a_time);
    run([&] { std::apply(kernel, values); }, grid, block, fibres);
}

}  // namespace host

inline void __syncthreads() {
    host::Block& block = host::block_of_fibres;
    swapcontext(&block.fibres[block.running], &block.scheduler);
}

#define EXPORT(kernel)                                                                             \
    extern "C" void host_##kernel(void** arguments, const unsigned* grid, const unsigned* block) { \
        host::call(kernel, arguments, grid, block, FIBRES);                                        \
    }                                                                                              \
    extern "C" int sizes_of_##kernel(int* into) { return host::sizes(kernel, into); }

// Exports a kernel that was renamed before its source was included, under its own name for the stand-in driver
// (fake_cuda/kernel.h).
#define EXPORT_PACKED(kernel, renamed)                                                                         \
    extern "C" void kernel(const unsigned char* arguments, size_t, const unsigned* grid, const unsigned* block, \
                           unsigned) {                                                                          \
        host::call_packed(renamed, arguments, grid, block, FIBRES);                                             \
    }
