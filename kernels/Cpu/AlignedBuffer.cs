using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>Native memory that starts on a cache line. Its content is undefined until written.</summary>
internal sealed unsafe class AlignedBuffer : IDisposable
{
    /// <summary>Bytes of a cache line, and of the widest vector.</summary>
    public const int Alignment = 64;

    private byte* _memory;

    public AlignedBuffer(long byteLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteLength);
        ByteLength = byteLength;
        nuint bytes = checked((nuint)Math.Max(byteLength, 1));
        _memory = byteLength >= 2L * HugePages.Bytes
            ? HugePages.Allocate(bytes)
            : (byte*)NativeMemory.AlignedAlloc(bytes, Alignment);
    }

    ~AlignedBuffer() => Free();

    public long ByteLength { get; }

    public byte* Bytes
    {
        get
        {
            ObjectDisposedException.ThrowIf(_memory == null, this);
            return _memory;
        }
    }

    public float* Floats => (float*)Bytes;

    /// <summary>The smallest multiple of <see cref="Alignment"/> that is not below <paramref name="byteLength"/>.</summary>
    public static long RoundUp(long byteLength) => (byteLength + Alignment - 1) & -Alignment;

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
    }
}
