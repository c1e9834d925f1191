using System.Reflection;
using System.Security.Cryptography;
using System.Text;

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>
/// Source files by name: compilation units (.cu), headers for every compiler (.cuh), and the emulator's (.hpp, .cpp). All lie in
/// one folder for an #include.
/// </summary>
internal sealed class KernelSources(IReadOnlyDictionary<string, string> files)
{
    private static readonly string[] Extensions = [".cu", ".cuh", ".hpp", ".cpp"];

    private readonly SortedDictionary<string, string> _files = new(files.ToDictionary(), StringComparer.Ordinal);

    /// <summary>Those in this assembly.</summary>
    public static KernelSources Embedded { get; } = ReadEmbedded();

    /// <summary>Names of the files with one of these extensions, in order.</summary>
    public IEnumerable<string> Names(params IEnumerable<string> extensions) =>
        _files.Keys.Where(name => extensions.Contains(Path.GetExtension(name)));

    public string Text(string name) => _files.TryGetValue(name, out string? text)
        ? text
        : throw new ArgumentException($"there is no source file '{name}'", nameof(name));

    /// <summary>SHA-256 of what a compilation reads: a unit, all headers that it could include, and the compiler's options.</summary>
    /// <param name="headers">Extensions.</param>
    public byte[] Key(string unit, IEnumerable<string> headers, IEnumerable<string> options)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string part in Names(headers).Prepend(unit).SelectMany(name => new[] { name, Text(name) }).Concat(options))
        {
            byte[] bytes = Encoding.UTF8.GetBytes(part);
            // The length keeps neighbours apart.
            hash.AppendData(BitConverter.GetBytes(bytes.LongLength));
            hash.AppendData(bytes);
        }
        return hash.GetHashAndReset();
    }

    /// <summary>These and other files; a file of the same name is replaced.</summary>
    public KernelSources With(string name, string text) => new(new Dictionary<string, string>(_files) { [name] = text });

    private static KernelSources ReadEmbedded()
    {
        Assembly assembly = typeof(KernelSources).Assembly;
        return new KernelSources(assembly.GetManifestResourceNames()
            .Where(name => Extensions.Contains(Path.GetExtension(name)))
            .ToDictionary(name => name, Read));

        string Read(string name)
        {
            using StreamReader reader = new(assembly.GetManifestResourceStream(name)!);
            return reader.ReadToEnd();
        }
    }
}
