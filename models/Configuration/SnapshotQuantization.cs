using LlamaServe.Kernels;
using LlamaServe.Models.Quantization;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Configuration;

/// <summary>Reads how a snapshot is quantized: config.json's quantization_config, or the file of its own that older tools wrote.</summary>
internal static class SnapshotQuantization
{
    private const int MaxBytes = 1 << 20;
    private const int MaxGroupSize = 1 << 16;
    private const int GroupMultiple = 32;

    /// <returns>Null where the snapshot holds floats alone.</returns>
    /// <exception cref="CheckpointException">The description is damaged or of a kind that is not served.</exception>
    public static QuantizationScheme? Read(string directory, CheckpointJson json)
    {
        CheckpointJson config = json.Find("quantization_config");
        if (!config.IsNull)
        {
            CheckpointJson method = config.Get("quant_method");
            return method.Text() switch
            {
                "gptq" => ReadGptq(config),
                "awq" => ReadAwq(config, "bits", "group_size"),
                "compressed-tensors" => ReadCompressedTensors(config),
                string other => throw method.Error($"is {CheckpointException.Quote(other)}; supported are gptq, awq and compressed-tensors"),
            };
        }
        string gptq = Path.Combine(directory, "quantize_config.json"), awq = Path.Combine(directory, "quant_config.json");
        return File.Exists(gptq) ? ReadGptq(CheckpointJson.Load(gptq, MaxBytes))
            : File.Exists(awq) ? ReadAwq(CheckpointJson.Load(awq, MaxBytes), "w_bit", "q_group_size")
            : null;
    }

    private static GptqScheme ReadGptq(CheckpointJson config)
    {
        CheckpointJson bits = config.Get("bits"), format = config.Find("checkpoint_format"), overrides = config.Find("dynamic");
        if (bits.Integer() is not (4 or 8))
        {
            throw bits.Error($"is {bits.Integer()}; supported are 4 and 8");
        }
        foreach (string flag in (ReadOnlySpan<string>)["lm_head", "is_marlin_format"])
        {
            if (config.Find(flag) is { IsNull: false } value && value.Boolean())
            {
                throw value.Error("is true, which is not supported");
            }
        }
        if (!overrides.IsNull && overrides.Properties().Any())
        {
            throw overrides.Error("gives modules settings of their own, which is not supported");
        }
        int zeroOffset = format.IsNull ? 1 : format.Text() switch
        {
            "gptq" => 1,
            "gptq_v2" => 0,
            string other => throw format.Error($"is {CheckpointException.Quote(other)}; supported are gptq and gptq_v2"),
        };
        return new GptqScheme((int)bits.Integer(), GroupSize(config.Get("group_size")), zeroOffset);
    }

    private static AwqScheme ReadAwq(CheckpointJson config, string bitsKey, string groupKey)
    {
        Expect(config.Get(bitsKey), value => value.Integer() == 4, "4");
        Expect(config.Find("version"), value => value.IsNull || value.Text().Equals("gemm", StringComparison.OrdinalIgnoreCase), "gemm");
        Expect(config.Find("zero_point"), value => value.IsNull || value.Boolean(), "true");
        Expect(config.Find("backend"), value => value.IsNull || value.Text() == "autoawq", "autoawq");
        return new AwqScheme(GroupSize(config.Get(groupKey)));
    }

    private static ChannelScheme ReadCompressedTensors(CheckpointJson config)
    {
        CheckpointJson format = config.Get("format"), groups = config.Get("config_groups");
        string type = format.Text() switch
        {
            "int-quantized" => "int",
            "float-quantized" => "float",
            string other => throw format.Error($"is {CheckpointException.Quote(other)}; supported are int-quantized and float-quantized"),
        };
        Expect(config.Find("kv_cache_scheme"), value => value.IsNull, "null");
        if (groups.Properties().Count() != 1)
        {
            throw groups.Error("must have one group");
        }
        CheckpointJson group = groups.Properties().First().Value, activations = group.Find("input_activations");
        ExpectArguments(group.Get("weights"), type, isDynamic: false, "channel", "tensor");
        Expect(group.Find("output_activations"), value => value.IsNull, "null");
        if (activations.IsNull && type == "int")
        {
            return new ChannelScheme(WeightFormat.Int8);
        }
        ExpectArguments(activations, type, isDynamic: true, "token");
        return new ChannelScheme(type == "int" ? WeightFormat.Int8Dynamic : WeightFormat.Fp8);
    }

    private static void ExpectArguments(CheckpointJson arguments, string type, bool isDynamic, params string[] strategies)
    {
        Expect(arguments.Get("num_bits"), value => value.Integer() == 8, "8");
        Expect(arguments.Get("type"), value => value.Text() == type, type);
        Expect(arguments.Find("symmetric"), value => value.IsNull || value.Boolean(), "true");
        Expect(arguments.Find("dynamic"), value => (!value.IsNull && value.Boolean()) == isDynamic, isDynamic ? "true" : "false");
        Expect(arguments.Get("strategy"), value => strategies.Contains(value.Text()), string.Join(" or ", strategies));
    }

    private static void Expect(CheckpointJson value, Func<CheckpointJson, bool> isSupported, string supported)
    {
        if (!isSupported(value))
        {
            throw value.Error($"is not {supported}: that is not supported");
        }
    }

    private static int GroupSize(CheckpointJson value) => value.Integer() switch
    {
        -1 => 0,
        >= GroupMultiple and <= MaxGroupSize and var size when size % GroupMultiple == 0 => (int)size,
        var size => throw value.Error($"is {size}; supported are -1 and multiples of {GroupMultiple}"),
    };
}
