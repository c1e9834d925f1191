// warp.cuh for g++. A collective is a rendezvous: the lane that arrives last reads and writes all lanes' operands.
#pragma once

#define FULL_MASK 0xffffffffu

namespace emulator {

// A lane's value, result and argument of a collective.
template <class T> struct Exchange {
    T value;
    T result;
    int argument;
};

enum class Pick { Xor, Down, Up, Lane };

// Lanes that the pick leads outside the warp keep their own value; a lane outside the mask gives poison.
template <class T, Pick P> void shuffle_lanes(void* const* operands, uint32_t lanes)
{
    for (int lane = 0; lane < 32; ++lane) {
        if (!(lanes >> lane & 1))
            continue;
        Exchange<T>& own = *static_cast<Exchange<T>*>(operands[lane]);
        int from = P == Pick::Xor ? lane ^ own.argument : P == Pick::Down ? lane + own.argument
                 : P == Pick::Up  ? lane - own.argument : own.argument & 31;
        if (from < 0 || from > 31)
            from = lane;
        if (lanes >> from & 1)
            own.result = static_cast<Exchange<T>*>(operands[from])->value;
        else
            std::memset(static_cast<void*>(&own.result), PoisonByte, sizeof(T));
    }
}

enum class Fold { Ballot, Max, Min, Add };

template <class T, Fold F> void fold_lanes(void* const* operands, uint32_t lanes)
{
    T result{};
    bool first = true;
    for (int lane = 0; lane < 32; ++lane) {
        if (!(lanes >> lane & 1))
            continue;
        const T value = static_cast<Exchange<T>*>(operands[lane])->value;
        if (F == Fold::Ballot)
            result |= static_cast<T>(value != 0) << lane;
        else if (F == Fold::Add)
            result += value;
        else if (first || (F == Fold::Max ? value > result : value < result))
            result = value;
        first = false;
    }
    for (int lane = 0; lane < 32; ++lane)
        if (lanes >> lane & 1)
            static_cast<Exchange<T>*>(operands[lane])->result = result;
}

template <class T> T exchange(const char* operation, GroupOperation fold, T value, int argument, uint32_t mask, const char* file, int line)
{
    Exchange<T> operand{value, value, argument};
    current().executor->warp_collective(mask, {operation, file, line}, fold, &operand);
    return operand.result;
}

inline void meet(void* const*, uint32_t) {}

} // namespace emulator

template <class T> T shuffle_xor(T value, int lanes, uint32_t mask = FULL_MASK, EMULATOR_SITE)
{
    return emulator::exchange("shuffle_xor", emulator::shuffle_lanes<T, emulator::Pick::Xor>, value, lanes, mask, file, line);
}
template <class T> T shuffle_down(T value, int lanes, uint32_t mask = FULL_MASK, EMULATOR_SITE)
{
    return emulator::exchange("shuffle_down", emulator::shuffle_lanes<T, emulator::Pick::Down>, value, lanes, mask, file, line);
}
template <class T> T shuffle_up(T value, int lanes, uint32_t mask = FULL_MASK, EMULATOR_SITE)
{
    return emulator::exchange("shuffle_up", emulator::shuffle_lanes<T, emulator::Pick::Up>, value, lanes, mask, file, line);
}
template <class T> T shuffle(T value, int lane, uint32_t mask = FULL_MASK, EMULATOR_SITE)
{
    return emulator::exchange("shuffle", emulator::shuffle_lanes<T, emulator::Pick::Lane>, value, lane, mask, file, line);
}
DEVICE uint32_t warp_ballot(bool predicate, uint32_t mask = FULL_MASK, EMULATOR_SITE)
{
    return emulator::exchange<uint32_t>("warp_ballot", emulator::fold_lanes<uint32_t, emulator::Fold::Ballot>, predicate, 0, mask, file, line);
}
DEVICE bool warp_any(bool predicate, uint32_t mask = FULL_MASK, EMULATOR_SITE) { return warp_ballot(predicate, mask, file, line) != 0; }
DEVICE bool warp_all(bool predicate, uint32_t mask = FULL_MASK, EMULATOR_SITE) { return warp_ballot(predicate, mask, file, line) == mask; }
DEVICE uint32_t warp_max(uint32_t value, uint32_t mask = FULL_MASK, EMULATOR_SITE)
{
    return emulator::exchange("warp_max", emulator::fold_lanes<uint32_t, emulator::Fold::Max>, value, 0, mask, file, line);
}
DEVICE uint32_t warp_min(uint32_t value, uint32_t mask = FULL_MASK, EMULATOR_SITE)
{
    return emulator::exchange("warp_min", emulator::fold_lanes<uint32_t, emulator::Fold::Min>, value, 0, mask, file, line);
}
DEVICE int warp_add(int value, uint32_t mask = FULL_MASK, EMULATOR_SITE)
{
    return emulator::exchange("warp_add", emulator::fold_lanes<int, emulator::Fold::Add>, value, 0, mask, file, line);
}
DEVICE void warp_barrier(uint32_t mask = FULL_MASK, EMULATOR_SITE)
{
    emulator::current().executor->warp_collective(mask, {"warp_barrier", file, line}, emulator::meet, nullptr);
}

DEVICE void barrier(EMULATOR_SITE) { emulator::current().executor->barrier(0, 0, true, {"barrier", file, line}); }
DEVICE void barrier(int id, int threads, EMULATOR_SITE)
{
    emulator::current().executor->barrier(id, threads, true, {"barrier", file, line});
}
DEVICE void barrier_arrive(int id, int threads, EMULATOR_SITE)
{
    emulator::current().executor->barrier(id, threads, false, {"barrier_arrive", file, line});
}
