// global_ptr and shared_ptr: addresses whose every access is checked for bounds and alignment.
#pragma once

namespace emulator {

// An index together with the place in the source that used it.
struct Index {
    int64_t value;
    const char* file;
    int line;
    template <class I, class = std::enable_if_t<std::is_integral_v<I>>>
    Index(I index, const char* at_file = __builtin_FILE(), int at_line = __builtin_LINE())
        : value(static_cast<int64_t>(index)), file(at_file), line(at_line)
    {
    }
};

struct GlobalSpace {
    using Address = uint64_t;
    static uint8_t* check(Address address, uint32_t bytes, uint32_t alignment, Access access, const Site& site)
    {
        return global_address(address, bytes, alignment, access, site);
    }
};

struct SharedSpace {
    using Address = uint32_t;
    static uint8_t* check(Address address, uint32_t bytes, uint32_t alignment, Access access, const Site& site)
    {
        return shared_address(address, bytes, alignment, access, site);
    }
};

// What p[i] and *p are: reads by conversion, writes by assignment.
template <class T, class Space> class Reference {
public:
    using Value = std::remove_const_t<T>;
    Reference(typename Space::Address address, const char* file, int line) : address_(address), file_(file), line_(line) {}
    Reference(const Reference&) = default;
    operator Value() const
    {
        Value value;
        std::memcpy(&value, Space::check(address_, sizeof(T), alignof(T), Access::Read, {"read", file_, line_}), sizeof(T));
        return value;
    }
    const Reference& operator=(const Value& value) const
    {
        static_assert(!std::is_const_v<T>, "a pointer to const does not write");
        std::memcpy(Space::check(address_, sizeof(T), alignof(T), Access::Write, {"write", file_, line_}), &value, sizeof(T));
        return *this;
    }
    const Reference& operator=(const Reference& other) const { return *this = static_cast<Value>(other); }
    template <class U> const Reference& operator+=(const U& value) const { return *this = static_cast<Value>(*this) + value; }
    template <class U> const Reference& operator*=(const U& value) const { return *this = static_cast<Value>(*this) * value; }

private:
    typename Space::Address address_;
    const char* file_;
    int line_;
};

template <class T, class Space> class Pointer {
public:
    using Address = typename Space::Address;
    using Element = T;
    Pointer() = default;
    Pointer(std::nullptr_t) : address_(0) {}
    explicit Pointer(Address address) : address_(address) {}
    template <class U, class = std::enable_if_t<std::is_same_v<const U, T> && !std::is_same_v<U, T>>>
    Pointer(Pointer<U, Space> other) : address_(other.address()) {}

    Address address() const { return address_; }
    Reference<T, Space> operator[](Index i) const { return {moved(i.value), i.file, i.line}; }
    Reference<T, Space> operator*() const { return {address_, nullptr, 0}; }
    template <class I> Pointer operator+(I count) const { return Pointer(moved(static_cast<int64_t>(count))); }
    template <class I, class = std::enable_if_t<std::is_integral_v<I>>> Pointer operator-(I count) const
    {
        return Pointer(moved(-static_cast<int64_t>(count)));
    }
    int64_t operator-(Pointer other) const { return static_cast<int64_t>(address_ - other.address_) / static_cast<int64_t>(sizeof(T)); }
    template <class I> Pointer& operator+=(I count) { return *this = *this + count; }
    template <class I> Pointer& operator-=(I count) { return *this = *this - count; }
    Pointer& operator++() { return *this += 1; }
    bool operator==(Pointer other) const { return address_ == other.address_; }
    bool operator!=(Pointer other) const { return address_ != other.address_; }
    bool operator<(Pointer other) const { return address_ < other.address_; }
    bool operator==(std::nullptr_t) const { return address_ == 0; }
    bool operator!=(std::nullptr_t) const { return address_ != 0; }
    explicit operator bool() const { return address_ != 0; }

private:
    Address moved(int64_t count) const { return address_ + static_cast<Address>(count * static_cast<int64_t>(sizeof(T))); }
    Address address_;
};

} // namespace emulator

template <class T> using global_ptr = emulator::Pointer<T, emulator::GlobalSpace>;
template <class T> using shared_ptr = emulator::Pointer<T, emulator::SharedSpace>;

template <class U, class T, class Space> emulator::Pointer<U, Space> cast(emulator::Pointer<T, Space> pointer)
{
    return emulator::Pointer<U, Space>(pointer.address());
}

static inline uint32_t shared_base() { return emulator::SharedBase; }
template <class T> shared_ptr<T> shared_at(uint32_t address) { return shared_ptr<T>(address); }
