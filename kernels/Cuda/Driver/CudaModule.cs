using System.Text;

namespace LlamaServe.Kernels.Cuda.Driver;

/// <summary>A compiled image on the device.</summary>
internal sealed unsafe class CudaModule : CudaObject
{
    /// <param name="image">A cubin; for the emulated driver what <c>HostCompiler</c> makes.</param>
    /// <exception cref="CudaException">The image is damaged or made for another kind of GPU.</exception>
    public CudaModule(CudaContext context, ReadOnlySpan<byte> image)
        : base(context)
    {
        nint module;
        fixed (byte* data = image)
        {
            Api.Check(Api.ModuleLoadData(&module, data));
        }
        Own(module);
    }

    /// <summary>A kernel by its C name; valid as long as the module.</summary>
    /// <exception cref="CudaException">The image has no such kernel.</exception>
    public CudaKernel GetKernel(string name)
    {
        nint function;
        fixed (byte* text = Encoding.UTF8.GetBytes(name + '\0'))
        {
            Api.Check(Api.ModuleGetFunction(&function, Handle, text));
        }
        return new CudaKernel(this, name, function);
    }

    protected override CUResult Destroy() => Api.ModuleUnload(handle);
}
