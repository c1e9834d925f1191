using LlamaServe.Kernels;

namespace LlamaServe.Bench.Models;

/// <summary>The random models that measurements run on, made when first asked for and kept in a cache folder.</summary>
internal static class BenchModel
{
    public const ulong DefaultSeed = 1;

    public static DirectoryInfo DefaultFolder => new(Path.Combine(
        Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "llamaserve", "bench"));

    /// <summary>The model's path; writes the file first where it is missing.</summary>
    public static string Ensure(DirectoryInfo folder, LlamaShape shape, WeightFormat format, ulong seed)
    {
        shape.Validate();
        string path = Path.Combine(folder.FullName, FileName(shape, format, seed));
        if (!File.Exists(path))
        {
            RandomLlama model = new(shape, format, seed);
            Console.Error.WriteLine($"Writing {path} ({model.ParameterCount:N0} parameters)");
            model.Save(path);
        }

        return path;
    }

    private static string FileName(LlamaShape shape, WeightFormat format, ulong seed) =>
        $"random-llama-h{shape.Hidden}-l{shape.Layers}-q{shape.Heads}-kv{shape.KvHeads}x{shape.HeadSize}-f{shape.FeedForward}"
        + $"-v{shape.Vocabulary}-c{shape.Context}{(shape.Tied ? "" : "-untied")}-s{seed}.{format}.gguf";
}
