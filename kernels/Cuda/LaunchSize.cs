using System.Globalization;
using System.Text.RegularExpressions;
using LlamaServe.Kernels.Cuda.Compilation;

namespace LlamaServe.Kernels.Cuda;

/// <summary>What a CTA of a kernel takes besides registers, for tables and checks. The numbers are those that the launches use.</summary>
/// <param name="Threads">Of a CTA.</param>
/// <param name="SharedBytes">Shared memory that a launch asks for, the most of any launch.</param>
/// <param name="Ctas">CTAs at a time on an SM that the launch counts on.</param>
internal readonly partial record struct LaunchSize(int Threads, int SharedBytes = 0, int Ctas = 1)
{
    /// <exception cref="ArgumentException">Nothing is known to launch a kernel of that name.</exception>
    public static LaunchSize Of(string kernel, GpuArchitecture architecture)
    {
        if (Product().Match(kernel) is { Success: true } product)
        {
            return OfProduct(product.Groups[1].Value, Number(product, 2), architecture);
        }
        if (Attention().Match(kernel) is { Success: true } attention)
        {
            DType type = attention.Groups[1].Value switch { "_fp8" => DType.Fp8, "_int8" => DType.Int8, _ => DType.BF16 };
            return new LaunchSize(PagedAttention.Threads, PagedAttention.SharedBytes(type, Number(attention, 2)));
        }
        return kernel switch
        {
            _ when kernel.StartsWith("combine_attention_", StringComparison.Ordinal) => new LaunchSize(PagedAttention.Threads),
            "embed" or "gather_rows" or "round_rows" or "gated_activation_bf16" or "gated_activation_f32" or "scatter_words" =>
                new LaunchSize(RowOps.Threads),
            "copy_blocks" => new LaunchSize(CopyBlocks.Threads),
            "rms_norm_f32_f32" or "rms_norm_f32_bf16" or "rms_norm_bf16_bf16" => new LaunchSize(RowOps.NormThreads, RowOps.NormSharedBytes),
            _ when Quantizing().IsMatch(kernel) => new LaunchSize(ActivationQuantizer.Threads, ActivationQuantizer.SharedBytes),
            "rope_and_store_kv" or "rope_and_store_kv_fp8" or "rope_and_store_kv_int8" => new LaunchSize(Cuda.RopeAndStoreKv.Threads),
            "route" => new LaunchSize(ExpertOps.RouteThreads),
            "sort_choices" => new LaunchSize(ExpertOps.SortThreads, ExpertOps.SortSharedBytes(ExpertRouting.MaxExperts)),
            "combine_experts" => new LaunchSize(ExpertOps.CombineThreads),
            "sample_scan" => new LaunchSize(Sample.ScanThreads, Sample.ScanBytes + Sample.SliceBytes),
            "sample_weigh" => new LaunchSize(Sample.ScanThreads, Sample.WeighBytes + Sample.SliceBytes),
            "sample_choose" => new LaunchSize(Sample.ChooseThreads, Sample.ChooseBytes),
            "verify_draft" or "compact_drafts" => new LaunchSize(VerifyDraft.Threads),
            _ => throw new ArgumentException($"LaunchSize.Of knows no launch of {kernel}", nameof(kernel)),
        };
    }

    private static LaunchSize OfProduct(string format, int tokens, GpuArchitecture architecture)
    {
        TiledFormat[] formats = [TiledFormat.BF16, TiledFormat.Int8, TiledFormat.Fp8];
        if (formats.FirstOrDefault(tiled => tiled.Name == format) is not { } tiled)
        {
            return new LaunchSize(CudaMatMul.Threads, MatMulLayout.All.First(layout => layout.Name == format).SharedBytes(tokens));
        }
        TiledVariant variant = TiledVariant.Of(tiled, architecture).First(variant => variant.Tokens == tokens);
        return new LaunchSize(variant.Threads, variant.SharedBytes, Math.Max(1, variant.PersistentCtas));
    }

    private static int Number(Match match, int group) => int.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex("^(?:expert_)?matmul_(.+)_t([0-9]+)$")]
    private static partial Regex Product();

    [GeneratedRegex("^paged_attention(_fp8|_int8)?_([0-9]+)$")]
    private static partial Regex Attention();

    [GeneratedRegex("^(?:quantize_rows|rms_norm|gated_activation)_(?:s8|e4m3)$")]
    private static partial Regex Quantizing();
}
