using System.Text.Json;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Configuration;

/// <summary>
/// Sliding windows of the layers from config.json. Mistral and Mixtral: "sliding_window" for all. Qwen2 and Qwen3: only where
/// "use_sliding_window", in the layers that "layer_types" lists as sliding, or else from "max_window_layers" on. Llama: none. Absent keys
/// have the transformers library's defaults; an explicit null is no window.
/// </summary>
internal static class SnapshotWindows
{
    private const string Sliding = "sliding_attention";
    private const string Full = "full_attention";
    private const int DefaultWindow = 4096;
    private const int DefaultFullLayers = 28;

    /// <returns>[layers] 0 for none.</returns>
    public static int[] Read(CheckpointJson json, Architecture architecture, int layers)
    {
        CheckpointJson types = json.Find("layer_types");
        int window = ReadWindow(json, architecture);
        int[] windows = new int[layers];
        if (!types.IsNull)
        {
            return ReadTypes(types, window, windows);
        }
        int firstSliding = architecture is Architecture.Mistral or Architecture.Mixtral ? 0 : ReadFullLayers(json);
        for (int layer = firstSliding; layer < layers; layer++)
        {
            windows[layer] = window;
        }
        return windows;
    }

    private static int ReadWindow(CheckpointJson json, Architecture architecture)
    {
        CheckpointJson window = json.Find("sliding_window");
        CheckpointJson used = json.Find("use_sliding_window");
        return architecture switch
        {
            Architecture.Llama => 0,
            Architecture.Qwen2 or Architecture.Qwen3 or Architecture.Qwen3Moe when used.IsNull || !used.Boolean() => 0,
            Architecture.Mixtral when window.Kind == JsonValueKind.Undefined => 0,
            _ when window.Kind == JsonValueKind.Undefined => DefaultWindow,
            _ => window.IsNull ? 0 : SnapshotConfig.Positive(window, ConfigLimits.ContextLength),
        };
    }

    private static int ReadFullLayers(CheckpointJson json)
    {
        CheckpointJson value = json.Find("max_window_layers");
        if (value.IsNull)
        {
            return DefaultFullLayers;
        }
        long count = value.Integer();
        return count is >= 0 and <= ConfigLimits.Layers ? (int)count : throw value.Error($"is {count}, not in 0 to {ConfigLimits.Layers}");
    }

    private static int[] ReadTypes(CheckpointJson types, int window, int[] windows)
    {
        if (types.Count() != windows.Length)
        {
            throw types.Error($"lists {types.Count()} layers, not {windows.Length}");
        }
        int layer = 0;
        foreach (CheckpointJson type in types.Items())
        {
            windows[layer++] = type.Text() switch
            {
                Full => 0,
                Sliding when window > 0 => window,
                Sliding => throw type.Error($"is {Sliding}, but no window is in use"),
                string other => throw type.Error($"is {CheckpointException.Quote(other)}; supported are {Full} and {Sliding}"),
            };
        }
        return windows;
    }
}
