using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>What one GPU is and has.</summary>
/// <param name="Ordinal">The driver's number of it, from 0.</param>
/// <param name="Handle">CUdevice.</param>
/// <param name="Major">Compute capability: 9 of 9.0.</param>
/// <param name="MultiprocessorCount">SMs.</param>
/// <param name="TotalBytes">Device memory.</param>
/// <param name="SharedBytesPerBlock">Most shared memory of a block that asks for it.</param>
/// <param name="SharedBytesPerMultiprocessor">Shared memory of one SM.</param>
/// <param name="L2Bytes">Second-level cache.</param>
internal sealed record CudaDevice(
    int Ordinal,
    int Handle,
    string Name,
    int Major,
    int Minor,
    int MultiprocessorCount,
    long TotalBytes,
    int SharedBytesPerBlock,
    int SharedBytesPerMultiprocessor,
    int L2Bytes)
{
    /// <summary>Describes a GPU that this build has kernels for.</summary>
    /// <exception cref="CudaUnavailableException">There is no such GPU, or it is too old.</exception>
    public static CudaDevice Get(DriverApi api, int ordinal)
    {
        int count = Count(api);
        if ((uint)ordinal >= (uint)count)
        {
            throw new CudaUnavailableException(count == 0
                ? "The NVIDIA driver finds no GPU on this machine."
                : $"There is no cuda:{ordinal}: this machine has {count} GPU{(count == 1 ? "" : "s")}, numbered from 0.");
        }
        CudaDevice device = Describe(api, ordinal);
        return device.Major >= 8 ? device : throw new CudaUnavailableException(
            $"{device.Name} has compute capability {device.Major}.{device.Minor}; 8.0 (Ampere) or later is needed.");
    }

    public static unsafe int Count(DriverApi api)
    {
        int count;
        api.Check(api.DeviceGetCount(&count));
        return count;
    }

    private static unsafe CudaDevice Describe(DriverApi api, int ordinal)
    {
        const int NameBytes = 256;
        int handle;
        api.Check(api.DeviceGet(&handle, ordinal));
        byte* name = stackalloc byte[NameBytes];
        api.Check(api.DeviceGetName(name, NameBytes, handle));
        nuint bytes;
        api.Check(api.DeviceTotalMem(&bytes, handle));
        return new CudaDevice(
            ordinal,
            handle,
            Marshal.PtrToStringUTF8((nint)name)!,
            Attribute(api, handle, DeviceAttribute.ComputeCapabilityMajor),
            Attribute(api, handle, DeviceAttribute.ComputeCapabilityMinor),
            Attribute(api, handle, DeviceAttribute.MultiprocessorCount),
            checked((long)bytes),
            Attribute(api, handle, DeviceAttribute.MaxSharedMemoryPerBlockOptin),
            Attribute(api, handle, DeviceAttribute.MaxSharedMemoryPerMultiprocessor),
            Attribute(api, handle, DeviceAttribute.L2CacheSize));
    }

    private static unsafe int Attribute(DriverApi api, int handle, DeviceAttribute attribute)
    {
        int value;
        api.Check(api.DeviceGetAttribute(&value, attribute, handle));
        return value;
    }
}
