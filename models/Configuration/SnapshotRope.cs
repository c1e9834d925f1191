using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Configuration;

/// <summary>
/// Rotary frequencies from config.json: "rope_theta" and "rope_scaling", or since transformers 5 both in "rope_parameters".
/// </summary>
internal static class SnapshotRope
{
    private const double DefaultTheta = 10000;

    /// <returns>[headDim / 2]</returns>
    public static double[] Read(CheckpointJson json, int headDim)
    {
        CheckpointJson parameters = json.Find("rope_parameters");
        CheckpointJson scaling = json.Find("rope_scaling");
        if (parameters.IsNull)
        {
            parameters = scaling;
        }
        else if (!scaling.IsNull)
        {
            throw parameters.Error("and 'rope_scaling' are both given");
        }
        double theta = ReadTheta(json, parameters);
        double[] frequencies = RotaryFrequencies.Base(headDim, theta);
        return parameters.IsNull ? frequencies : Scale(frequencies, parameters);
    }

    private static double ReadTheta(CheckpointJson json, CheckpointJson parameters)
    {
        CheckpointJson inner = parameters.IsNull ? parameters : parameters.Find("rope_theta");
        CheckpointJson outer = json.Find("rope_theta");
        return !inner.IsNull ? InRange(inner, 1, ConfigLimits.RopeTheta)
            : !outer.IsNull ? InRange(outer, 1, ConfigLimits.RopeTheta)
            : DefaultTheta;
    }

    private static double[] Scale(double[] frequencies, CheckpointJson parameters)
    {
        foreach (string layerType in (ReadOnlySpan<string>)["full_attention", "sliding_attention"])
        {
            if (parameters.Find(layerType) is { IsNull: false } nested)
            {
                throw nested.Error("differs by type of layer, which is not supported");
            }
        }
        if (parameters.Find("partial_rotary_factor") is { IsNull: false } partial && partial.Number() != 1)
        {
            throw partial.Error("is not 1: rotating a part of each head is not supported");
        }
        CheckpointJson type = parameters.Find("rope_type") is { IsNull: false } current ? current : parameters.Find("type");
        string name = type.IsNull ? "default" : type.Text();
        return name switch
        {
            "default" => frequencies,
            "linear" => RotaryFrequencies.Linear(frequencies, InRange(parameters.Get("factor"), 1, ConfigLimits.RopeFactor)),
            "llama3" => ScaleLlama3(frequencies, parameters),
            _ => throw type.Error($"is {CheckpointException.Quote(name)}; supported are default, linear and llama3"),
        };
    }

    private static double[] ScaleLlama3(double[] frequencies, CheckpointJson parameters)
    {
        CheckpointJson highKey = parameters.Get("high_freq_factor");
        double low = InRange(parameters.Get("low_freq_factor"), 0, ConfigLimits.RopeFactor);
        double high = InRange(highKey, 0, ConfigLimits.RopeFactor);
        if (high <= low)
        {
            throw highKey.Error($"is {high}, not above low_freq_factor, {low}");
        }
        return RotaryFrequencies.Llama3(
            frequencies,
            InRange(parameters.Get("factor"), 1, ConfigLimits.RopeFactor),
            low,
            high,
            SnapshotConfig.Positive(parameters.Get("original_max_position_embeddings"), ConfigLimits.ContextLength));
    }

    private static double InRange(CheckpointJson value, double min, double max) =>
        value.Number() is var number && number >= min && number <= max ? number : throw value.Error($"is {number}, not in {min} to {max}");
}
