namespace LlamaServe.Kernels.Tests;

/// <summary>The formats of GGUF files and of plain floats: those whose scales, if any, lie inside their blocks.</summary>
internal sealed class GgufFormatsAttribute() : ValuesAttribute([.. All.Cast<object>()])
{
    public static IEnumerable<WeightFormat> All => Enum.GetValues<WeightFormat>().Where(format => !format.HasSeparateScales());
}
