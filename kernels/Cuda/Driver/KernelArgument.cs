namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>
/// One argument of a launch. The driver copies as many bytes as the kernel's parameter has, so a 4-byte value lies in the low half.
/// </summary>
internal readonly unsafe struct KernelArgument
{
    private KernelArgument(ulong bits) => Bits = bits;

    private KernelArgument(void* reference) => Reference = reference;

    /// <summary>The value, where <see cref="Reference"/> is null.</summary>
    public ulong Bits { get; }

    /// <summary>Where a parameter that is a struct lies; has to stay there during the call of Launch only.</summary>
    public void* Reference { get; }

    /// <summary>A struct, passed by value, e.g. a CUtensorMap.</summary>
    public static KernelArgument Struct<T>(T* value)
        where T : unmanaged => new((void*)value);

    public static implicit operator KernelArgument(DevicePtr value) => new(value.Address);

    public static implicit operator KernelArgument(int value) => new((uint)value);

    public static implicit operator KernelArgument(uint value) => new(value);

    public static implicit operator KernelArgument(long value) => new((ulong)value);

    public static implicit operator KernelArgument(ulong value) => new(value);

    public static implicit operator KernelArgument(float value) => new(BitConverter.SingleToUInt32Bits(value));
}
