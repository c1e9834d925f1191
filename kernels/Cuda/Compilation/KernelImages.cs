using System.Security.Cryptography;
using System.Text;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>
/// Compiled units, from where they are found first: a folder of ahead-of-time images, the cache on disk, the compiler. An entry that
/// is damaged or made from other sources, options or compilers is made anew. Any number of threads and processes may ask at once.
/// </summary>
/// <param name="compiler">Called when an image has to be looked up in the cache or compiled; may throw <see cref="CudaUnavailableException"/>.</param>
/// <param name="cacheFolder">Need not exist; where it cannot be written, units are compiled in every process.</param>
/// <param name="aheadOfTime">Images that are taken without a compiler; null for none.</param>
internal sealed class KernelImages(KernelSources sources, Func<KernelCompiler> compiler, string cacheFolder, AheadOfTimeImages? aheadOfTime = null)
{
    private readonly Lazy<KernelCompiler> _compiler = new(compiler);

    /// <summary>The image of a unit for cuModuleLoadData.</summary>
    /// <exception cref="CompileException">The source has an error.</exception>
    /// <exception cref="CudaUnavailableException">It has to be compiled and there is no compiler.</exception>
    public byte[] Get(string unit, GpuArchitecture architecture)
    {
        if (aheadOfTime?.TryRead(sources, unit, architecture) is { } ready)
        {
            return ready;
        }
        KernelCompiler own = _compiler.Value;
        byte[] key = Key(own, unit, architecture);
        string path = Path.Combine(cacheFolder, $"{Path.GetFileNameWithoutExtension(unit)}.{architecture.Name()}.{Convert.ToHexStringLower(key.AsSpan(0, 8))}.image");
        if (ImageFile.TryRead(path, key) is { } cached)
        {
            return cached;
        }
        byte[] image = own.Compile(sources, unit, architecture).Image;
        TryWrite(path, key, image);
        return image;
    }

    private byte[] Key(KernelCompiler own, string unit, GpuArchitecture architecture)
    {
        byte[] source = sources.Key(unit, own.Headers, own.Options(architecture));
        return SHA256.HashData([.. source, .. Encoding.UTF8.GetBytes(own.Identity)]);
    }

    private static void TryWrite(string path, byte[] key, byte[] image)
    {
        try
        {
            ImageFile.Write(path, key, image);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // A home that is read-only or full costs the next process a compilation and nothing else.
        }
    }
}
