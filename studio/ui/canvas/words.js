// The canvas's few words in the artist's language. English is the key.

const CHINESE = {
  Brush: "画笔",
  Eraser: "橡皮",
  Rectangle: "矩形",
  Lasso: "套索",
  Fill: "填充",
  Invert: "反选",
  "Clear all": "全部清除",
  Undo: "撤销",
  Redo: "重做",
  "Show all": "适合窗口",
  Size: "大小",
  Softness: "柔和",
  Strength: "强度",
  Colour: "颜色",
  Opacity: "不透明度",
  "Pen pressure": "笔压",
  "Brush and overlay": "画笔与遮罩",
  "Open a picture": "打开图片",
  "Save mask": "保存遮罩",
  "Load mask": "载入遮罩",
  "Hide the mask": "隐藏遮罩",
  Tools: "工具",
  "From the gallery": "从图库选择",
  "Or try with one of these": "或试试这些图片",
  "Earlier pictures": "之前的图片",
  "The first picture": "最初的图片",
  Picture: "图片",
  Close: "关闭",
  "Drop a picture here, paste one, or": "拖放或粘贴图片，或",
  "choose a file": "选择文件",
  "to repaint": "待重绘",
  "Paint the part to change": "涂抹要修改的部分",
  "Your work is as you left it.": "已恢复上次的内容。",
  "This browser keeps nothing between visits (private window?).": "此浏览器不会保存内容（隐私窗口？）。",
  "The studio does not answer. Is it still running?": "工作室没有响应，它还在运行吗？",
  "That did not work": "未能完成",
  "Open a picture first.": "请先打开一张图片。",
};

const added = {};

/** More words for another part of the page: {English: Chinese}. */
export function addWords(words) {
  Object.assign(added, words);
}

export const isChinese = () => navigator.language.toLowerCase().startsWith("zh");

export function say(english) {
  return isChinese() ? (added[english] ?? CHINESE[english] ?? english) : english;
}

/** What an error of the server says, in one line: in Chinese where the studio knows the words. */
export function told(error) {
  const { message, hint } = (isChinese() && error.zh) || error;
  return [message, hint].filter(Boolean).join(" ");
}
