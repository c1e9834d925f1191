using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Packs blocks of a matrix on all of the host's cores and sends them to the device, some MiB at a time.</summary>
/// <param name="ring">Sends them, in the order of <paramref name="stream"/>.</param>
internal sealed unsafe class PackedUpload(UploadRing ring, CudaStream stream) : IDisposable
{
    /// <summary>What is packed at a time, if a block is not larger.</summary>
    private const long StagingBytes = 32 << 20;

    private void* _staging;
    private nuint _stagingBytes;

    /// <summary>Writes a block's bytes, all of them, at an address.</summary>
    public delegate void Pack(int block, byte* destination);

    public void Run(DevicePtr destination, int blocks, long blockBytes, Pack pack)
    {
        int together = (int)Math.Clamp(StagingBytes / blockBytes, 1, blocks);
        byte* staging = Staging((nuint)(together * blockBytes));
        for (int first = 0; first < blocks; first += together)
        {
            int count = Math.Min(together, blocks - first), from = first;
            Parallel.For(0, count, i => pack(from + i, staging + i * blockBytes));
            for (int i = 0; i < count; i++)
            {
                ring.Upload(stream, destination + (first + i) * blockBytes, new ReadOnlySpan<byte>(staging + i * blockBytes, checked((int)blockBytes)));
            }
        }
    }

    public void Dispose()
    {
        NativeMemory.Free(_staging);
        _staging = null;
        _stagingBytes = 0;
    }

    private byte* Staging(nuint bytes)
    {
        if (bytes > _stagingBytes)
        {
            _staging = NativeMemory.Realloc(_staging, bytes);
            _stagingBytes = bytes;
        }
        return (byte*)_staging;
    }
}
