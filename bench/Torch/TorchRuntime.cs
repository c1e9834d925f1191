using System.Buffers.Binary;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Text;
using TorchSharp;

namespace LlamaServe.Bench.Torch;

/// <summary>
/// Makes TorchSharp's native library loadable on systems whose libstdc++ is older than GCC 13's.
/// </summary>
/// <remarks>
/// <c>libLibTorchSharp.so</c> names <c>GLIBCXX_3.4.32</c> as a required version, for one symbol,
/// <c>_ZSt21ios_base_library_initv</c>, which the C++ headers only mention so that an old runtime is noticed:
/// no relocation refers to it, so nothing is ever called. A copy whose requirement is marked weak
/// (<c>VER_FLG_WEAK</c>; ELF symbol versioning, Linux Standard Base 5.0 §10.7) therefore loads and works.
/// </remarks>
public static class TorchRuntime
{
    private const string LibraryName = "LibTorchSharp";
    private const string LibraryFile = "libLibTorchSharp.so";
    private const string PatchedFile = "libLibTorchSharp.weak.so";
    private const string WeakenedVersion = "GLIBCXX_3.4.32";

    private static readonly Lazy<bool> Loaded = new(Load);

    /// <summary>Loads TorchSharp, with the weakened copy where the system's C++ runtime is too old. Idempotent.</summary>
    /// <exception cref="DllNotFoundException">The native library is absent or needs more than this can mend.</exception>
    public static void EnsureLoaded() => _ = Loaded.Value;

    private static bool Load()
    {
        if (OperatingSystem.IsLinux() && !NativeLibrary.TryLoad(LibraryName, TorchAssembly, null, out _))
        {
            AssemblyLoadContext.Default.ResolvingUnmanagedDll += ResolveWeakened;
        }
        torch.InitializeDeviceType(DeviceType.CPU);
        return true;
    }

    private static Assembly TorchAssembly => typeof(torch).Assembly;

    private static nint ResolveWeakened(Assembly assembly, string name) =>
        assembly == TorchAssembly && name == LibraryName ? NativeLibrary.Load(WriteWeakenedCopy(FindLibrary())) : 0;

    private static string FindLibrary()
    {
        string searched = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? AppContext.BaseDirectory;
        foreach (string directory in searched.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            string path = Path.Combine(directory, LibraryFile);
            if (File.Exists(path))
            {
                return path;
            }
        }
        throw new DllNotFoundException($"{LibraryFile} is in none of the native search directories: {searched}");
    }

    // The copy stays beside the original, whose RUNPATH ($ORIGIN) finds libtorch. Written aside, then moved, because
    // several test processes may start at once.
    private static string WriteWeakenedCopy(string original)
    {
        byte[] image = File.ReadAllBytes(original);
        WeakenVersion(image, WeakenedVersion);
        string patched = Path.Combine(Path.GetDirectoryName(original)!, PatchedFile);
        string aside = $"{patched}.{Environment.ProcessId}";
        File.WriteAllBytes(aside, image);
        File.Move(aside, patched, overwrite: true);
        return patched;
    }

    /// <summary>Marks one required symbol version of a 64-bit little-endian ELF image as weak, in place.</summary>
    /// <exception cref="DllNotFoundException">The image is no such ELF file or does not require that version.</exception>
    internal static void WeakenVersion(Span<byte> image, string version)
    {
        const uint VersionNeeds = 0x6ffffffe; // SHT_GNU_verneed
        if (image.Length < 64 || !image[..6].SequenceEqual("\u007fELF\u0002\u0001"u8))
        {
            throw new DllNotFoundException($"{LibraryFile} is not a 64-bit little-endian ELF file.");
        }
        int table = (int)U64(image, 40), entrySize = U16(image, 58), count = U16(image, 60);
        for (int i = 0; i < count; i++)
        {
            int section = table + i * entrySize;
            if (U32(image, section + 4) == VersionNeeds)
            {
                int strings = table + (int)U32(image, section + 40) * entrySize;
                WeakenIn(image, (int)U64(image, section + 24), (int)U64(image, strings + 24), version);
                return;
            }
        }
        throw new DllNotFoundException($"{LibraryFile} has no version requirements to weaken.");
    }

    // Elf64_Verneed: version u16, count u16, file u32, aux u32, next u32; Elf64_Vernaux: hash u32, flags u16,
    // other u16, name u32, next u32. Offsets are relative to the record; next = 0 ends a list.
    private static void WeakenIn(Span<byte> image, int need, int strings, string version)
    {
        const ushort Weak = 2; // VER_FLG_WEAK
        byte[] wanted = Encoding.ASCII.GetBytes(version + '\0');
        for (int step = -1; step != 0; need += step = (int)U32(image, need + 12))
        {
            int aux = need + (int)U32(image, need + 8);
            for (int i = U16(image, need + 2); i > 0; i--, aux += (int)U32(image, aux + 12))
            {
                if (image[(strings + (int)U32(image, aux + 8))..].StartsWith(wanted))
                {
                    BinaryPrimitives.WriteUInt16LittleEndian(image[(aux + 4)..], Weak);
                    return;
                }
            }
        }
        throw new DllNotFoundException(
            $"{LibraryFile} cannot be loaded and does not require {version}: this system's C++ runtime lacks something else.");
    }

    private static ushort U16(ReadOnlySpan<byte> image, int at) => BinaryPrimitives.ReadUInt16LittleEndian(image[at..]);

    private static uint U32(ReadOnlySpan<byte> image, int at) => BinaryPrimitives.ReadUInt32LittleEndian(image[at..]);

    private static ulong U64(ReadOnlySpan<byte> image, int at) => BinaryPrimitives.ReadUInt64LittleEndian(image[at..]);
}
