namespace LlamaServe.Models.Tokenization;

/// <summary>A token that is found in the text as a whole, before any merging.</summary>
/// <param name="Special">It steers the model, and is found only where the caller asks for special tokens.</param>
/// <param name="SingleWord">Only where no word character touches it.</param>
/// <param name="LeftStrip">It swallows the white space before it.</param>
/// <param name="RightStrip">It swallows the white space after it.</param>
/// <param name="Normalized">It is sought in the normalized text, else in the raw one.</param>
internal sealed record AddedToken(
    int Id, string Content, bool Special, bool SingleWord = false, bool LeftStrip = false, bool RightStrip = false, bool Normalized = false);
