using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>CUlaunchConfig: 56 bytes on 64-bit systems.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LaunchConfig
{
    public uint GridX, GridY, GridZ;
    public uint BlockX, BlockY, BlockZ;
    public uint SharedBytes;
    public nint Stream;
    public LaunchAttribute* Attributes;
    public uint AttributeCount;
}

/// <summary>CUlaunchAttribute: the id, padded to 8 bytes, then a union of 64 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 72)]
internal struct LaunchAttribute
{
    [FieldOffset(0)]
    public LaunchAttributeId Id;

    /// <summary>Of <see cref="LaunchAttributeId.ClusterDimension"/>: blocks of a cluster in x.</summary>
    [FieldOffset(8)]
    public uint ClusterX;

    [FieldOffset(12)]
    public uint ClusterY;

    [FieldOffset(16)]
    public uint ClusterZ;

    /// <summary>Of <see cref="LaunchAttributeId.ProgrammaticStreamSerialization"/>: 1 to allow the early start.</summary>
    [FieldOffset(8)]
    public int ProgrammaticAllowed;
}

/// <summary>CUlaunchAttributeID.</summary>
internal enum LaunchAttributeId
{
    ClusterDimension = 4,
    ProgrammaticStreamSerialization = 6,
}
