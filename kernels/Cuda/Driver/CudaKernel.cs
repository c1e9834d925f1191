namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>A kernel of a loaded module.</summary>
internal sealed unsafe class CudaKernel
{
    /// <summary>What a kernel may use without asking.</summary>
    private const int DefaultDynamicSharedBytes = 48 * 1024;

    private const int MaxArguments = 64;

    private readonly CudaModule _module;
    private readonly nint _function;
    private int _dynamicSharedBytes = DefaultDynamicSharedBytes;

    internal CudaKernel(CudaModule module, string name, nint function)
    {
        _module = module;
        _function = function;
        Name = name;
    }

    public string Name { get; }

    /// <summary>Registers of a thread.</summary>
    public int Registers => Attribute(FunctionAttribute.NumRegs);

    /// <summary>Bytes of a thread in local memory: arrays with computed indices, and spills.</summary>
    public int LocalBytes => Attribute(FunctionAttribute.LocalSizeBytes);

    /// <summary>Shared memory that is declared in the source.</summary>
    public int StaticSharedBytes => Attribute(FunctionAttribute.SharedSizeBytes);

    public int MaxThreadsPerBlock => Attribute(FunctionAttribute.MaxThreadsPerBlock);

    private DriverApi Api => _module.Context.Api;

    /// <summary>Blocks that fit an SM at a time.</summary>
    public int BlocksPerMultiprocessor(int threads, int sharedBytes)
    {
        AllowSharedBytes(sharedBytes);
        int blocks;
        Api.Check(Api.OccupancyMaxActiveBlocksPerMultiprocessor(&blocks, _function, threads, (nuint)sharedBytes));
        return blocks;
    }

    /// <summary>Queues the kernel. Allocates nothing on the managed heap.</summary>
    /// <param name="arguments">In the order and of the sizes of the kernel's parameters, which the driver cannot check.</param>
    public void Launch(CudaStream stream, in LaunchShape shape, params ReadOnlySpan<KernelArgument> arguments)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(arguments.Length, MaxArguments);
        AllowSharedBytes(shape.SharedBytes);
        LaunchAttribute* attributes = stackalloc LaunchAttribute[2];
        LaunchConfig config = new()
        {
            GridX = (uint)shape.Grid.X,
            GridY = (uint)shape.Grid.Y,
            GridZ = (uint)shape.Grid.Z,
            BlockX = (uint)shape.Block.X,
            BlockY = (uint)shape.Block.Y,
            BlockZ = (uint)shape.Block.Z,
            SharedBytes = (uint)shape.SharedBytes,
            Stream = stream.Handle,
            Attributes = attributes,
            AttributeCount = Write(attributes, shape, shape.Programmatic || stream.IsProgrammatic),
        };
        void** pointers = stackalloc void*[MaxArguments];
        fixed (KernelArgument* values = arguments)
        {
            for (int i = 0; i < arguments.Length; i++)
            {
                // The value is the struct's first field.
                pointers[i] = values[i].Reference == null ? values + i : values[i].Reference;
            }
            Api.Check(Api.LaunchKernelEx(&config, _function, pointers, null));
        }
    }

    private static uint Write(LaunchAttribute* attributes, in LaunchShape shape, bool programmatic)
    {
        uint count = 0;
        if (shape.Cluster > 1)
        {
            attributes[count++] = new LaunchAttribute
            {
                Id = LaunchAttributeId.ClusterDimension,
                ClusterX = (uint)shape.Cluster,
                ClusterY = 1,
                ClusterZ = 1,
            };
        }
        if (programmatic)
        {
            attributes[count++] = new LaunchAttribute { Id = LaunchAttributeId.ProgrammaticStreamSerialization, ProgrammaticAllowed = 1 };
        }
        return count;
    }

    private void AllowSharedBytes(int bytes)
    {
        if (bytes > _dynamicSharedBytes)
        {
            Api.Check(Api.FuncSetAttribute(_function, FunctionAttribute.MaxDynamicSharedSizeBytes, bytes));
            _dynamicSharedBytes = bytes;
        }
    }

    private int Attribute(FunctionAttribute attribute)
    {
        int value;
        Api.Check(Api.FuncGetAttribute(&value, attribute, _function));
        return value;
    }
}
