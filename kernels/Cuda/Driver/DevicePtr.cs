namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>An address on a device (CUdeviceptr); means nothing on the host.</summary>
internal readonly record struct DevicePtr(ulong Address)
{
    /// <summary>The address <paramref name="bytes"/> further on.</summary>
    public static DevicePtr operator +(DevicePtr pointer, long bytes) => new(checked(pointer.Address + (ulong)bytes));
}
